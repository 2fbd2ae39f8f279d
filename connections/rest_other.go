//go:build !linux

package connections

const canRest = false

func (*socket) lieDown() bool { return false }

func (*socket) rouse() {}

//go:build linux || darwin || freebsd

package main

import "syscall"

// openFiles is how many files this process may have open.
func openFiles() (limit uint64, known bool) {
	var r syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r)
	return uint64(r.Cur), err == nil //nolint:unconvert // it is signed on FreeBSD
}

// freeSpace is what is free where a directory is, for who is not root.
func freeSpace(dir string) (free size, known bool) {
	var s syscall.Statfs_t
	err := syscall.Statfs(dir, &s)
	return size(s.Bavail) * size(s.Bsize), err == nil //nolint:gosec // disks are smaller than that
}

package main

import "runtime/debug"

// release is set when a release is built (-ldflags "-X main.release=v1.2.3").
var release string //nolint:gochecknoglobals // the linker can set nothing else

// version is the release, or else the commit the program was built from.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, modified := "", ""
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			revision = setting.Value[:min(12, len(setting.Value))]
		case setting.Key == "vcs.modified" && setting.Value == "true":
			modified = "+"
		}
	}
	if revision == "" {
		return "development"
	}
	return "development-" + revision + modified
}

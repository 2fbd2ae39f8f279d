package tidingsv1_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/testing/protocmp"

	tidingsv1 "tidings/proto/tidings/v1"
)

// regenerate is what makes the tests of this file green again.
const regenerate = "cd proto && go run github.com/bufbuild/buf/cmd/buf@v1.75.0 generate"

// TestGeneratedCodeIsUpToDate compares event.proto with the descriptor inside
// event.pb.go. Comments are not part of it.
func TestGeneratedCodeIsUpToDate(t *testing.T) {
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{"../.."}}),
	}
	files, err := compiler.Compile(t.Context(), "tidings/v1/event.proto")
	if err != nil {
		t.Fatalf("compile event.proto: %v", err)
	}
	source := protodesc.ToFileDescriptorProto(files[0])
	generated := protodesc.ToFileDescriptorProto(tidingsv1.File_tidings_v1_event_proto)
	source.SourceCodeInfo, generated.SourceCodeInfo = nil, nil
	if diff := cmp.Diff(generated, source, protocmp.Transform()); diff != "" {
		t.Errorf("event.pb.go differs from event.proto; run\n\n\t%s\n\n(-generated +source):\n%s", regenerate, diff)
	}
}

func TestGeneratorHasTheVersionOfGoMod(t *testing.T) {
	version := regexp.MustCompile(`protoc-gen-go@(v[0-9.]+)`).FindStringSubmatch(read(t, "../../buf.gen.yaml"))
	if version == nil {
		t.Fatal("buf.gen.yaml runs no protoc-gen-go@version")
	}
	for file, want := range map[string]string{
		"../../../go.mod": "google.golang.org/protobuf " + version[1],
		"event.pb.go":     "protoc-gen-go " + version[1],
	} {
		if !strings.Contains(read(t, file), want) {
			t.Errorf("%s: no %q, the version in buf.gen.yaml; make all three the same, then run\n\n\t%s", file, want, regenerate)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

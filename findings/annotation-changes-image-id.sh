#!/bin/sh
# go-containerregistry changes the image ID when it only adds an annotation to the manifest.
#
# Version: Go module github.com/google/go-containerregistry 0.22.1. Date: 2026-11-29, Go 1.26.8.
# Expected: annotations stand in the manifest. So `mutate.Annotations` gives a new manifest digest, and leaves the configuration as it
# is. The digest of the configuration, which the OCI image specification calls the image ID, stays.
# Seen: the configuration is parsed and written again. Its keys change their order, an absent `created` becomes the year 1, and a
# property that the library does not have is lost. The image ID is another one. (For artifacts with another configuration type, it stays.)
# Effect: an annotation for a registry makes another image out of it for each tool that compares image IDs.
#
#   before: {"os":"wasip1","architecture":"wasm","rootfs":{"type":"layers","diff_ids":[]},"config":{},"org.example.build":"7"}
#   after:  {"architecture":"wasm","created":"0001-01-01T00:00:00Z","os":"wasip1","rootfs":{"type":"layers","diff_ids":[]},"config":{}}
#   same image ID: false
set -eu
recorded=$(sed -n 's/^#   //p' "$0")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
cd "$dir"
export GOPATH="$dir/path" GOCACHE="$dir/cache" GOFLAGS=-modcacherw

cat >annotate.go <<'EOF'
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	oci "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const config = `{"os":"wasip1","architecture":"wasm","rootfs":{"type":"layers","diff_ids":[]},"config":{},"org.example.build":"7"}`

// source is an image without layers, as a registry would serve it.
type source struct{}

func (source) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
func (source) RawConfigFile() ([]byte, error)      { return []byte(config), nil }
func (source) LayerByDigest(oci.Hash) (partial.CompressedLayer, error) {
	return nil, errors.New("there are no layers")
}
func (source) RawManifest() ([]byte, error) {
	digest, size, err := oci.SHA256(bytes.NewReader([]byte(config)))
	descriptor := oci.Descriptor{MediaType: types.OCIConfigJSON, Digest: digest, Size: size}
	manifest := oci.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: descriptor, Layers: []oci.Descriptor{}}
	return must(json.Marshal(manifest)), err
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	before := must(partial.CompressedToImage(source{}))
	after := mutate.Annotations(before, map[string]string{"org.example.team": "a"}).(oci.Image)
	fmt.Printf("before: %s\n", must(before.RawConfigFile()))
	fmt.Printf("after:  %s\n", must(after.RawConfigFile()))
	fmt.Println("same image ID:", must(before.ConfigName()) == must(after.ConfigName()))
}
EOF
go mod init example.com/annotate
go get github.com/google/go-containerregistry/pkg/v1/mutate@v0.22.1
seen=$(go run annotate.go)
if [ "$seen" != "$recorded" ]; then
    printf 'the behaviour changed\nrecorded:\n%s\nseen:\n%s\n' "$recorded" "$seen" >&2
    exit 1
fi
printf '%s\n' "$seen"

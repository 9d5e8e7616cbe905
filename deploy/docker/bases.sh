#!/bin/sh
# Provides the Dockerfile's base images: keeps existing ones, pulls them from a registry, or, without one, builds them
# under the same names from Debian packages and the installed Rust, which needs root.
set -eu

base=debian:bookworm-slim
rust=rust:1.95-slim-bookworm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

present() {
    docker image inspect "$1" >/dev/null 2>&1 || timeout 300 docker pull --quiet "$1" >/dev/null 2>&1
}

# apt's mirror and proxy.
mirror() {
    apt-get indextargets --format '$(SITE) $(CODENAME) $(CREATED_BY)' | awk '$2 == "bookworm" && $3 == "Packages" { print $1; exit }'
}

make_base() {
    echo "bases: no registry: making $base from Debian's packages" >&2
    command -v debootstrap >/dev/null || { apt-get update -qq; apt-get install -qq --yes --no-install-recommends debootstrap >/dev/null; }
    proxy=$(apt-config shell proxy Acquire::http::Proxy | sed -n "s/^proxy='\(.*\)'$/\1/p")
    [ -z "$proxy" ] || export http_proxy="$proxy"
    debootstrap --variant=minbase --include=ca-certificates bookworm "$work/root" "$(mirror)" >"$work/log" 2>&1 ||
        { tail "$work/log" >&2; return 1; }
    rm -rf "$work"/root/var/cache/apt/archives/*.deb "$work"/root/var/lib/apt/lists/*
    tar -C "$work/root" -c . | docker import --change 'CMD ["bash"]' - "$base" >/dev/null
    rm -rf "$work/root"
}

make_rust() {
    echo "bases: no registry: making $rust from the installed Rust" >&2
    mkdir -p "$work/rust/toolchain"
    tar -C "$(rustc --print sysroot)" --exclude=share -c . | tar -C "$work/rust/toolchain" -x
    # The machine may reach the crates through a proxy with its own certificate.
    cp -L /etc/ssl/certs/ca-certificates.crt "$work/rust/certificates.crt"
    cat > "$work/rust/Dockerfile" <<END
FROM $base
RUN apt-get update -qq && apt-get install -qq --yes --no-install-recommends gcc libc6-dev >/dev/null && rm -rf /var/lib/apt/lists/*
COPY certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY toolchain /usr/local/rust
ENV CARGO_HOME=/usr/local/cargo PATH=/usr/local/rust/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
END
    DOCKER_BUILDKIT=0 docker build --quiet --tag "$rust" "$work/rust" >/dev/null
}

present "$rust" && exit
present "$base" || make_base
make_rust

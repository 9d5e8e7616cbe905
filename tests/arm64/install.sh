#!/bin/sh
# Installs what tests/arm64/test.sh needs on another architecture, from Debian: a cross linker and QEMU, which need root, and
# Rust with its standard library for arm64: install.sh FOLDER. Where the installed Rust has that target (rustup target add
# aarch64-unknown-linux-gnu), it is used. Debian's Rust is unpacked into FOLDER and not installed, because it would replace the
# Rust of this machine; FOLDER/rustc runs it.
set -eu

into=$1
if ! command -v qemu-aarch64 >/dev/null || ! command -v aarch64-linux-gnu-gcc >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends gcc-aarch64-linux-gnu libc6-dev-arm64-cross \
        qemu-user >/dev/null
fi

[ ! -d "$(rustc --print sysroot)/lib/rustlib/aarch64-unknown-linux-gnu" ] || exit 0
[ ! -x "$into/rustc" ] || exit 0

echo "arm64: the installed Rust has no such target: unpacking Debian's" >&2
rm -rf "$into"
mkdir -p "$into/packages"
into=$(cd "$into" && pwd)
added=
if ! dpkg --print-foreign-architectures | grep -qx arm64; then
    dpkg --add-architecture arm64
    added=1
fi
apt-get update -qq
version=$(apt-cache policy rustc-web | awk '/Candidate/ { print $2 }')
library=libstd-rust-web-$(echo "$version" | cut -d. -f1,2)
llvm=$(apt-cache show "$library=$version" | grep -o 'libllvm[0-9]*' | head -n 1)
(
    cd "$into/packages"
    apt-get download -qq "rustc-web=$version" "$library=$version" "libstd-rust-web-dev=$version" \
        "libstd-rust-web-dev:arm64=$version" "$llvm" 2>/dev/null
)
if [ -n "$added" ]; then
    dpkg --remove-architecture arm64
    apt-get update -qq
fi
for package in "$into"/packages/*.deb; do
    dpkg -x "$package" "$into/root"
done
rm -rf "$into/packages"
libraries=$into/root/usr/lib
cat > "$into/rustc" <<END
#!/bin/sh
export LD_LIBRARY_PATH=$libraries/x86_64-linux-gnu:$libraries:$libraries/llvm-${llvm#libllvm}/lib
exec $into/root/usr/bin/rustc --sysroot $into/root/usr "\$@"
END
chmod +x "$into/rustc"
"$into/rustc" --version >&2

#!/bin/sh
# Writes docker/.env with new random credentials, once: an existing file is left as it is, because
# the volumes belong to its keys.
set -eu
file="$(dirname "$0")/.env"
if [ -e "$file" ]; then
    echo "$file exists; nothing changed"
    exit 0
fi
random() { od -An -N "$1" -tx1 /dev/urandom | tr -d ' \n'; }
umask 077
cat > "$file.new" <<END
LMSLAKE_S3_ACCESS_KEY=$(random 8)
LMSLAKE_S3_SECRET_KEY=$(random 20)
LMSLAKE_PSEUDONYM_KEY=$(random 32)
END
mv "$file.new" "$file"
echo "credentials written to $file"

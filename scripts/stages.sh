# Sourced by scripts/test and scripts/test-long: stages that run on after a failure, and their totals.
# shellcheck shell=bash

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
results=build/test-results
# Tests with servers wait for disks and for each other: one more than there are cores.
jobs=$(($(nproc) + 1))
failed_stages=()
passed_stages=0
rm -rf "$results"
mkdir -p "$results"

# Throw-away clusters are tens of thousands of files, whose removal alone took minutes a test on a
# disk that discards what is freed: in memory, where there is plenty of it.
room_kb() { df --output=avail -k "$1" 2>/dev/null | tail -n 1; }
if [[ -z ${TMPDIR:-} && $(stat -f -c %T /dev/shm 2>/dev/null) == tmpfs && $(room_kb /dev/shm) -gt $((8 << 20)) &&
    $(awk '/^MemAvailable/ { print $2 }' /proc/meminfo) -gt $((14 << 20)) ]]; then
    export TMPDIR=/dev/shm
fi

# stage NAME COMMAND...: runs it, output shown only when it fails. It counts as one test; what only
# prepares (install-*, build-*) counts when it fails.
stage() {
    local name=$1 begin=$SECONDS
    shift
    if "$@" >"$results/$name.log" 2>&1; then
        echo "== $name: ok ($((SECONDS - begin)) s)"
        [[ $name == install-* || $name == build-* ]] || passed_stages=$((passed_stages + 1))
        return 0
    fi
    echo "== $name: FAILED ($((SECONDS - begin)) s): $*"
    tail -n 60 "$results/$name.log"
    failed_stages+=("$name")
    return 1
}

build() { stage "build-$1" sh -c "cmake --preset $1 && cmake --build --preset $1"; }

# tests NAME PRESET CTEST-ARGUMENTS...: its tests are counted one by one.
tests() {
    local name=$1 preset=$2 begin=$SECONDS
    shift 2
    echo "== $name"
    ctest --preset "$preset" -j "$jobs" --no-tests=ignore --output-junit "$PWD/$results/$name.xml" \
        "$@" | grep -vE '^ +Start +[0-9]+:|sec\*proc|^Label Time Summary|^$'
    echo "== $name: $((SECONDS - begin)) s"
}

# Prints the last line, "N passed, N failed", and returns whether all passed.
totals() {
    python3 - "$results" "$passed_stages" "${failed_stages[@]}" <<'PY'
import glob, sys
import xml.etree.ElementTree as tree
passed, failed, skipped = int(sys.argv[2]), [], []
for path in sorted(glob.glob(sys.argv[1] + "/*.xml")):
    for case in tree.parse(path).getroot().iter("testcase"):
        name = path.rsplit("/", 1)[1][:-4] + ": " + case.get("name")
        if case.get("status") == "run":
            passed += 1
        elif case.find("skipped") is not None and case.find("failure") is None:
            skipped.append(name)
        else:
            failed.append(name)
failed += sys.argv[3:]
for name in skipped:
    print("skipped:", name)
for name in failed:
    print("failed:", name)
print(f"{passed} passed, {len(failed)} failed")
sys.exit(1 if failed else 0)
PY
}

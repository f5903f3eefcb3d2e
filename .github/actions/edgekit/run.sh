#!/usr/bin/env bash
# Export, verify, bench; the inputs are environment variables, see action.yml. Every part runs as far as it can, so that
# the summary shows all that is known; the exit code is the first part's that failed.
set -uo pipefail

read -ra targets <<<"$TARGETS"
read -ra options <<<"$OPTIONS"
read -ra bench_options <<<"$BENCH_OPTIONS"
mkdir -p "$OUT"

failed=0
keep() { # keep CODE: remember the first failure
    if [[ $1 -ne 0 && $failed -eq 0 ]]; then failed=$1; fi
}

chosen=()
for target in "${targets[@]}"; do chosen+=(--target "$target"); done
edgekit export "$MODEL" "${chosen[@]}" "${options[@]}" --out "$OUT" --quiet --json >"$OUT/export.json"
keep $?
python3 "$HERE/summary.py" "$OUT/export.json" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"

mapfile -t bundles < <(python3 "$HERE/summary.py" --bundles "$OUT/export.json")
for bundle in "${bundles[@]}"; do
    on_device=()
    if [[ $DEVICE != local ]]; then on_device=(--device "$DEVICE"); fi
    if said=$(edgekit verify "$bundle" "${on_device[@]}" --quiet 2>&1); then
        echo "$said"
    else
        keep $?
        echo "$said"
        echo "::error title=edgekit verify::${said//$'\n'/%0A}"
    fi
done

if [[ ${#bundles[@]} -gt 0 ]]; then
    compared=()
    if [[ -n $BASELINE ]]; then compared+=(--baseline "$BASELINE"); fi
    if [[ -n $MAX_REGRESSION ]]; then compared+=(--max-regression "$MAX_REGRESSION"); fi
    edgekit bench "${bundles[@]}" --device "$DEVICE" "${compared[@]}" "${bench_options[@]}" \
        --history "$OUT/bench.jsonl" --junit "$OUT/bench.xml" --quiet
    keep $?
fi
exit $failed

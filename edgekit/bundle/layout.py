"""What lies where in a bundle, and in which version of the form."""

FORMAT = 2  # of the bundle: raised when a reader of old ones would misread new ones
CONTRACT_FORMAT = 1  # of contract.json, which apps read
CONTRACT, GOLDEN, LABELS, MANIFEST = "contract.json", "golden.npz", "labels.txt", "manifest.json"
GOLDEN_FOLDER, GOLDEN_TENSORS = "golden", "golden/tensors.npz"
REPORT = "report.html"  # holds timings, so it differs from run to run and is not among the hashed files
PROFILE = "profile.json"  # written by edgekit profile, long after the bundle
UNREPEATABLE = {"model.ort"}  # ONNX Runtime writes its tables in the order of a hash map: other bytes in each process

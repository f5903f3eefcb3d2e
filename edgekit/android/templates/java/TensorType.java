package @PACKAGE@;

/** How numbers are stored in a tensor; the limits are those of the types that images are quantized to. */
public enum TensorType {
    FLOAT32(4, 0.0, 0.0),
    INT8(1, -128.0, 127.0),
    UINT8(1, 0.0, 255.0),
    INT16(2, -32768.0, 32767.0),
    INT32(4, 0.0, 0.0),
    INT64(8, 0.0, 0.0),
    BOOL(1, 0.0, 0.0);

    final int bytes;
    final double lowest;
    final double highest;

    TensorType(int bytes, double lowest, double highest) {
        this.bytes = bytes;
        this.lowest = lowest;
        this.highest = highest;
    }
}

package @PACKAGE@;

/** What the model file takes; {@link Contract} has the values. */
public final class InputContract {
    final int resize;
    final int cropHeight;
    final int cropWidth;
    final boolean bicubic;
    final float[] mean;
    final float[] std;
    final boolean bgr;
    final boolean raw;
    final boolean channelsFirst;
    final TensorType type;
    final float scale;
    final int zeroPoint;

    /**
     * @param resize the shorter side in pixels, before the crop.
     * @param raw the values stay 0 to 255: the normalisation is part of the file.
     * @param scale stored = round(value / scale) + zeroPoint; unused for FLOAT32.
     */
    public InputContract(
            int resize,
            int cropHeight,
            int cropWidth,
            boolean bicubic,
            float[] mean,
            float[] std,
            boolean bgr,
            boolean raw,
            boolean channelsFirst,
            TensorType type,
            float scale,
            int zeroPoint) {
        this.resize = resize;
        this.cropHeight = cropHeight;
        this.cropWidth = cropWidth;
        this.bicubic = bicubic;
        this.mean = mean;
        this.std = std;
        this.bgr = bgr;
        this.raw = raw;
        this.channelsFirst = channelsFirst;
        this.type = type;
        this.scale = scale;
        this.zeroPoint = zeroPoint;
    }
}

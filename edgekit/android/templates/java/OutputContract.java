package @PACKAGE@;

import java.nio.ByteBuffer;

/** One output of the model file; {@link Contract#OUTPUTS} has them all. */
public final class OutputContract {
    public final String name;
    public final TensorType type;

    /** What the axes are: NCHW, NHWC, NC or other. */
    public final String layout;

    /** value = scale * (stored - zeroPoint); 1 and 0 where the file stores the values themselves. */
    public final float scale;

    public final int zeroPoint;

    /** scores: one number per class; values: anything else. */
    public final String meaning;

    private final int[] shape;

    OutputContract(
            String name, TensorType type, int[] shape, String layout, float scale, int zeroPoint, String meaning) {
        this.name = name;
        this.type = type;
        this.shape = shape;
        this.layout = layout;
        this.scale = scale;
        this.zeroPoint = zeroPoint;
        this.meaning = meaning;
    }

    /** In the order in which the file stores it, with the batch of one: [1, height, width, channels] for NHWC. */
    public int[] shape() {
        return shape.clone();
    }

    /** Real values of the stored tensor, from the buffer's position to its limit. */
    public float[] dequantize(ByteBuffer stored) {
        float[] values = new float[stored.remaining() / type.bytes];
        for (int i = 0; i < values.length; i++) {
            values[i] = next(stored);
        }
        return values;
    }

    private float next(ByteBuffer stored) {
        switch (type) {
            case FLOAT32:
                return stored.getFloat();
            case INT8:
                return real(stored.get());
            case UINT8:
            case BOOL:
                return real(stored.get() & 0xFF);
            case INT16:
                return real(stored.getShort());
            case INT32:
                return real(stored.getInt());
            default:
                return stored.getLong();
        }
    }

    private float real(int stored) {
        return scale * (stored - zeroPoint);
    }
}

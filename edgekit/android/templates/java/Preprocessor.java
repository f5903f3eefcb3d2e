package @PACKAGE@;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * From pixels to the model's input tensor, bit for bit what edgekit's Python does.
 *
 * <p>Resize the shorter side, cut the centre, normalise, quantize, lay out. The resize is Pillow's: separable,
 * antialiased, half-pixel centres, rounded to 8 bits after each pass. It needs nothing of Android, so it runs on any JVM.
 */
public final class Preprocessor {
    private static final int LEVELS = 256;
    private static final int WEIGHT_BITS = 22;
    private static final double CUBIC = -0.5;

    private final InputContract contract;
    private final int channels;
    private final int[][] stored;

    public Preprocessor(InputContract contract) {
        this.contract = contract;
        channels = contract.mean.length;
        stored = new int[channels][LEVELS];
        for (int channel = 0; channel < channels; channel++) {
            for (int level = 0; level < LEVELS; level++) {
                stored[channel][level] = storedBits(level, channel);
            }
        }
    }

    /**
     * The stored tensor of one image.
     *
     * @param pixels ARGB as android.graphics.Bitmap.getPixels gives them: not premultiplied, row by row. Alpha is dropped.
     * @return a direct buffer in native byte order, at position 0.
     */
    public ByteBuffer apply(int[] pixels, int width, int height) {
        if (width <= 0 || height <= 0 || pixels.length < width * height) {
            throw new IllegalArgumentException(width + " x " + height + " pixels are needed");
        }
        Image image = channels == 1 ? grey(pixels, width, height) : colour(pixels, width, height);
        return store(crop(image));
    }

    private static final class Image {
        final int width;
        final int height;
        final byte[] samples;

        Image(int width, int height, byte[] samples) {
            this.width = width;
            this.height = height;
            this.samples = samples;
        }
    }

    /** Weights of the samples from start that make one sample of the resized line. */
    private static final class Weights {
        final int start;
        final int[] weights;

        Weights(int start, int[] weights) {
            this.start = start;
            this.weights = weights;
        }
    }

    private static Image colour(int[] pixels, int width, int height) {
        byte[] samples = new byte[width * height * 3];
        for (int i = 0; i < width * height; i++) {
            samples[3 * i] = (byte) (pixels[i] >> 16);
            samples[3 * i + 1] = (byte) (pixels[i] >> 8);
            samples[3 * i + 2] = (byte) pixels[i];
        }
        return new Image(width, height, samples);
    }

    private static Image grey(int[] pixels, int width, int height) {
        byte[] samples = new byte[width * height];
        for (int i = 0; i < samples.length; i++) {
            int red = pixels[i] >> 16 & 0xFF;
            int green = pixels[i] >> 8 & 0xFF;
            int blue = pixels[i] & 0xFF;
            samples[i] = (byte) (19595 * red + 38470 * green + 7471 * blue + 0x8000 >> 16);
        }
        return new Image(width, height, samples);
    }

    /** The centre of the resized image, of which no more than that is computed; black where the image is smaller. */
    private Image crop(Image image) {
        boolean upright = image.width <= image.height;
        int newWidth = upright ? contract.resize : longerSide(image.width, image.height);
        int newHeight = upright ? longerSide(image.height, image.width) : contract.resize;
        int left = margin(newWidth, contract.cropWidth);
        int top = margin(newHeight, contract.cropHeight);
        int firstColumn = Math.max(left, 0);
        int firstRow = Math.max(top, 0);
        int columns = Math.min(left + contract.cropWidth, newWidth) - firstColumn;
        int rows = Math.min(top + contract.cropHeight, newHeight) - firstRow;
        Image resized =
                resizeRows(resizeColumns(image, newWidth, firstColumn, columns), newHeight, firstRow, rows);
        byte[] cut = new byte[contract.cropWidth * contract.cropHeight * channels];
        int length = columns * channels;
        for (int y = 0; y < rows; y++) {
            int to = ((Math.max(-top, 0) + y) * contract.cropWidth + Math.max(-left, 0)) * channels;
            System.arraycopy(resized.samples, y * length, cut, to, length);
        }
        return new Image(contract.cropWidth, contract.cropHeight, cut);
    }

    private int longerSide(int longer, int shorter) {
        return (int) ((double) ((long) contract.resize * longer) / shorter);
    }

    /** Half of what is cut, halves to even; half of what is missing, rounded down, as a negative number. */
    private static int margin(int have, int want) {
        return have >= want ? (int) Math.rint((have - want) / 2.0) : -((want - have) / 2);
    }

    private Image resizeColumns(Image image, int newWidth, int firstColumn, int columns) {
        if (newWidth == image.width && columns == newWidth) {
            return image;
        }
        byte[] samples = new byte[columns * image.height * channels];
        for (int x = 0; x < columns; x++) {
            Weights line = weights(image.width, newWidth, firstColumn + x);
            for (int y = 0; y < image.height; y++) {
                for (int channel = 0; channel < channels; channel++) {
                    int first = (y * image.width + line.start) * channels + channel;
                    samples[(y * columns + x) * channels + channel] =
                            weighted(image.samples, first, channels, line);
                }
            }
        }
        return new Image(columns, image.height, samples);
    }

    private Image resizeRows(Image image, int newHeight, int firstRow, int rows) {
        if (newHeight == image.height && rows == newHeight) {
            return image;
        }
        int length = image.width * channels;
        byte[] samples = new byte[length * rows];
        for (int y = 0; y < rows; y++) {
            Weights line = weights(image.height, newHeight, firstRow + y);
            for (int i = 0; i < length; i++) {
                samples[y * length + i] = weighted(image.samples, line.start * length + i, length, line);
            }
        }
        return new Image(image.width, rows, samples);
    }

    private static byte weighted(byte[] samples, int first, int step, Weights line) {
        int sum = 1 << WEIGHT_BITS - 1;
        int at = first;
        for (int weight : line.weights) {
            sum += weight * (samples[at] & 0xFF);
            at += step;
        }
        return (byte) Math.max(0, Math.min(LEVELS - 1, sum >> WEIGHT_BITS));
    }

    /** The filter at one position of a line that goes from size to newSize samples. */
    private Weights weights(int size, int newSize, int at) {
        double scale = (double) size / newSize;
        double widening = Math.max(scale, 1.0);
        double support = (contract.bicubic ? 2.0 : 1.0) * widening;
        double centre = (at + 0.5) * scale;
        int start = Math.max((int) (centre - support + 0.5), 0);
        int end = Math.min((int) (centre + support + 0.5), size);
        double narrowing = 1.0 / widening;
        double[] real = new double[end - start];
        double total = 0.0;
        for (int i = 0; i < real.length; i++) {
            real[i] = filter((i + start - centre + 0.5) * narrowing);
            total += real[i];
        }
        int[] weights = new int[real.length];
        for (int i = 0; i < real.length; i++) {
            weights[i] = fixedPoint(total != 0.0 ? real[i] / total : real[i]);
        }
        return new Weights(start, weights);
    }

    private double filter(double at) {
        double x = Math.abs(at);
        if (!contract.bicubic) {
            return x < 1.0 ? 1.0 - x : 0.0;
        }
        if (x < 1.0) {
            return ((CUBIC + 2.0) * x - (CUBIC + 3.0)) * x * x + 1.0;
        }
        return x < 2.0 ? (((x - 5.0) * x + 8.0) * x - 4.0) * CUBIC : 0.0;
    }

    private static int fixedPoint(double weight) {
        return (int) (weight * (1 << WEIGHT_BITS) + (weight < 0 ? -0.5 : 0.5));
    }

    private ByteBuffer store(Image image) {
        int area = image.width * image.height;
        ByteBuffer buffer =
                ByteBuffer.allocateDirect(area * channels * contract.type.bytes).order(ByteOrder.nativeOrder());
        int outer = contract.channelsFirst ? channels : area;
        int inner = contract.channelsFirst ? area : channels;
        for (int i = 0; i < outer; i++) {
            for (int j = 0; j < inner; j++) {
                int channel = contract.channelsFirst ? i : j;
                int pixel = contract.channelsFirst ? j : i;
                int source = contract.bgr ? channels - 1 - channel : channel;
                put(buffer, stored[channel][image.samples[pixel * channels + source] & 0xFF]);
            }
        }
        buffer.rewind();
        return buffer;
    }

    private void put(ByteBuffer buffer, int bits) {
        switch (contract.type) {
            case FLOAT32:
                buffer.putInt(bits);
                break;
            case INT16:
                buffer.putShort((short) bits);
                break;
            default:
                buffer.put((byte) bits);
        }
    }

    /** What one 8-bit level of a channel becomes, in float32 as the contract says: bits of the stored number. */
    private int storedBits(int level, int channel) {
        float value = level;
        if (!contract.raw) {
            value = (value / 255f - contract.mean[channel]) / contract.std[channel];
        }
        if (contract.type == TensorType.FLOAT32) {
            return Float.floatToRawIntBits(value);
        }
        double steps = Math.rint(value / contract.scale) + contract.zeroPoint;
        return (int) Math.max(contract.type.lowest, Math.min(contract.type.highest, steps));
    }
}

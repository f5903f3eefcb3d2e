package @PACKAGE@

import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * From pixels to the model's input tensor, bit for bit what edgekit's Python does.
 *
 * Resize the shorter side, cut the centre, normalise, quantize, lay out. The resize is Pillow's: separable, antialiased,
 * half-pixel centres, rounded to 8 bits after each pass. It needs nothing of Android, so it runs on any JVM.
 */
class Preprocessor(private val contract: InputContract) {
    private val channels = contract.mean.size
    private val stored = Array(channels) { channel -> IntArray(LEVELS) { storedBits(it, channel) } }

    /**
     * The stored tensor of one image.
     *
     * @param pixels ARGB as android.graphics.Bitmap.getPixels gives them: not premultiplied, row by row. Alpha is dropped.
     * @return a direct buffer in native byte order, at position 0.
     */
    fun apply(pixels: IntArray, width: Int, height: Int): ByteBuffer {
        require(width > 0 && height > 0 && pixels.size >= width * height) { "$width x $height pixels are needed" }
        val image = if (channels == 1) grey(pixels, width, height) else colour(pixels, width, height)
        return store(crop(image))
    }

    private class Image(val width: Int, val height: Int, val samples: ByteArray)

    /** Weights of the samples from [start] that make one sample of the resized line. */
    private class Weights(val start: Int, val weights: IntArray)

    private fun colour(pixels: IntArray, width: Int, height: Int): Image {
        val samples = ByteArray(width * height * 3)
        for (i in 0 until width * height) {
            samples[3 * i] = (pixels[i] shr 16).toByte()
            samples[3 * i + 1] = (pixels[i] shr 8).toByte()
            samples[3 * i + 2] = pixels[i].toByte()
        }
        return Image(width, height, samples)
    }

    private fun grey(pixels: IntArray, width: Int, height: Int): Image {
        val samples = ByteArray(width * height)
        for (i in samples.indices) {
            val red = pixels[i] shr 16 and 0xFF
            val green = pixels[i] shr 8 and 0xFF
            val blue = pixels[i] and 0xFF
            samples[i] = (19595 * red + 38470 * green + 7471 * blue + 0x8000 shr 16).toByte()
        }
        return Image(width, height, samples)
    }

    /** The centre of the resized image, of which no more than that is computed; black where the image is smaller. */
    private fun crop(image: Image): Image {
        val upright = image.width <= image.height
        val newWidth = if (upright) contract.resize else longerSide(image.width, image.height)
        val newHeight = if (upright) longerSide(image.height, image.width) else contract.resize
        val left = margin(newWidth, contract.cropWidth)
        val top = margin(newHeight, contract.cropHeight)
        val columns = maxOf(left, 0) until minOf(left + contract.cropWidth, newWidth)
        val rows = maxOf(top, 0) until minOf(top + contract.cropHeight, newHeight)
        val resized = resizeRows(resizeColumns(image, newWidth, columns), newHeight, rows)
        val cut = ByteArray(contract.cropWidth * contract.cropHeight * channels)
        val length = resized.width * channels
        for (y in 0 until resized.height) {
            val from = ((maxOf(-top, 0) + y) * contract.cropWidth + maxOf(-left, 0)) * channels
            resized.samples.copyInto(cut, from, y * length, (y + 1) * length)
        }
        return Image(contract.cropWidth, contract.cropHeight, cut)
    }

    private fun longerSide(longer: Int, shorter: Int): Int =
        ((contract.resize.toLong() * longer).toDouble() / shorter).toInt()

    /** Half of what is cut, halves to even; half of what is missing, rounded down, as a negative number. */
    private fun margin(have: Int, want: Int): Int =
        if (have >= want) Math.rint((have - want) / 2.0).toInt() else -((want - have) / 2)

    private fun resizeColumns(image: Image, newWidth: Int, columns: IntRange): Image {
        if (newWidth == image.width && columns == 0 until newWidth) return image
        val width = columns.count()
        val samples = ByteArray(width * image.height * channels)
        for (x in 0 until width) {
            val line = weights(image.width, newWidth, columns.first + x)
            for (y in 0 until image.height) {
                for (channel in 0 until channels) {
                    val first = (y * image.width + line.start) * channels + channel
                    samples[(y * width + x) * channels + channel] = weighted(image.samples, first, channels, line)
                }
            }
        }
        return Image(width, image.height, samples)
    }

    private fun resizeRows(image: Image, newHeight: Int, rows: IntRange): Image {
        if (newHeight == image.height && rows == 0 until newHeight) return image
        val height = rows.count()
        val length = image.width * channels
        val samples = ByteArray(length * height)
        for (y in 0 until height) {
            val line = weights(image.height, newHeight, rows.first + y)
            for (i in 0 until length) {
                samples[y * length + i] = weighted(image.samples, line.start * length + i, length, line)
            }
        }
        return Image(image.width, height, samples)
    }

    private fun weighted(samples: ByteArray, first: Int, step: Int, line: Weights): Byte {
        var sum = 1 shl WEIGHT_BITS - 1
        var at = first
        for (weight in line.weights) {
            sum += weight * (samples[at].toInt() and 0xFF)
            at += step
        }
        return (sum shr WEIGHT_BITS).coerceIn(0, LEVELS - 1).toByte()
    }

    /** The filter at position [at] of a line that goes from [size] to [newSize] samples. */
    private fun weights(size: Int, newSize: Int, at: Int): Weights {
        val scale = size.toDouble() / newSize
        val widening = maxOf(scale, 1.0)
        val support = (if (contract.bicubic) 2.0 else 1.0) * widening
        val centre = (at + 0.5) * scale
        val start = maxOf((centre - support + 0.5).toInt(), 0)
        val end = minOf((centre + support + 0.5).toInt(), size)
        val narrowing = 1.0 / widening
        val real = DoubleArray(end - start) { filter((it + start - centre + 0.5) * narrowing) }
        var total = 0.0
        for (weight in real) total += weight
        return Weights(start, IntArray(real.size) { fixedPoint(if (total != 0.0) real[it] / total else real[it]) })
    }

    private fun filter(at: Double): Double {
        val x = Math.abs(at)
        return when {
            !contract.bicubic -> if (x < 1.0) 1.0 - x else 0.0
            x < 1.0 -> ((CUBIC + 2.0) * x - (CUBIC + 3.0)) * x * x + 1.0
            x < 2.0 -> (((x - 5.0) * x + 8.0) * x - 4.0) * CUBIC
            else -> 0.0
        }
    }

    private fun fixedPoint(weight: Double): Int =
        (weight * (1 shl WEIGHT_BITS) + if (weight < 0) -0.5 else 0.5).toInt()

    private fun store(image: Image): ByteBuffer {
        val area = image.width * image.height
        val buffer = ByteBuffer.allocateDirect(area * channels * contract.type.bytes).order(ByteOrder.nativeOrder())
        val outer = if (contract.channelsFirst) channels else area
        val inner = if (contract.channelsFirst) area else channels
        for (i in 0 until outer) {
            for (j in 0 until inner) {
                val channel = if (contract.channelsFirst) i else j
                val pixel = if (contract.channelsFirst) j else i
                val source = if (contract.bgr) channels - 1 - channel else channel
                val bits = stored[channel][image.samples[pixel * channels + source].toInt() and 0xFF]
                when (contract.type) {
                    TensorType.FLOAT32 -> buffer.putInt(bits)
                    TensorType.INT16 -> buffer.putShort(bits.toShort())
                    else -> buffer.put(bits.toByte())
                }
            }
        }
        buffer.rewind()
        return buffer
    }

    /** What one 8-bit level of a channel becomes, in float32 as the contract says: bits of the stored number. */
    private fun storedBits(level: Int, channel: Int): Int {
        var value = level.toFloat()
        if (!contract.raw) value = (value / 255f - contract.mean[channel]) / contract.std[channel]
        if (contract.type == TensorType.FLOAT32) return value.toRawBits()
        val steps = Math.rint((value / contract.scale).toDouble()) + contract.zeroPoint
        return steps.coerceIn(contract.type.lowest, contract.type.highest).toInt()
    }

    private companion object {
        const val LEVELS = 256
        const val WEIGHT_BITS = 22
        const val CUBIC = -0.5
    }
}

/** How numbers are stored in a tensor; the limits are those of the types that images are quantized to. */
enum class TensorType(val bytes: Int, val lowest: Double, val highest: Double) {
    FLOAT32(4, 0.0, 0.0),
    INT8(1, -128.0, 127.0),
    UINT8(1, 0.0, 255.0),
    INT16(2, -32768.0, 32767.0),
    INT32(4, 0.0, 0.0),
    INT64(8, 0.0, 0.0),
    BOOL(1, 0.0, 0.0),
}

/**
 * What the model file takes; `Contract` has the values.
 *
 * @property resize the shorter side in pixels, before the crop.
 * @property raw the values stay 0 to 255: the normalisation is part of the file.
 * @property scale stored = round(value / scale) + zeroPoint; unused for FLOAT32.
 */
class InputContract(
    val resize: Int,
    val cropHeight: Int,
    val cropWidth: Int,
    val bicubic: Boolean,
    val mean: FloatArray,
    val std: FloatArray,
    val bgr: Boolean,
    val raw: Boolean,
    val channelsFirst: Boolean,
    val type: TensorType,
    val scale: Float,
    val zeroPoint: Int,
)

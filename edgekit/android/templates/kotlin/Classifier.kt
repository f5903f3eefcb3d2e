package @PACKAGE@

import android.content.Context
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import java.io.InputStream
import java.nio.ByteBuffer

/**
 * Image in, classes out, exactly as the bundle's contract says.
 *
 * Keep one per thread that uses it; making one loads the model. [close] frees it.
 */
class Classifier(context: Context, options: ModelRunner.Options = ModelRunner.Options()) : AutoCloseable {
    private val preprocessor = Preprocessor(Contract.INPUT)
    private val runner = ModelRunner(context.assets.open(Contract.MODEL).use { it.readBytes() }, options)

    /** Class names by index; empty where the model has none. */
    val labels: List<String> =
        if (Contract.LABELS.isEmpty()) emptyList() else context.assets.open(Contract.LABELS).bufferedReader().readLines()

    /** The [count] likeliest classes, likeliest first. The image must stand upright: EXIF tags are not looked at. */
    fun classify(bitmap: Bitmap, count: Int = 5): List<Result> = Scores.top(scores(bitmap), labels, count)

    /** The model's first output, dequantized. */
    fun scores(bitmap: Bitmap): FloatArray = scores(preprocess(bitmap))

    /** The same from an input tensor as the file stores it. */
    fun scores(input: ByteBuffer): FloatArray = runner.run(input)

    /** The input tensor as the file stores it. */
    fun preprocess(bitmap: Bitmap): ByteBuffer {
        val readable = if (bitmap.config == Bitmap.Config.ARGB_8888) bitmap else bitmap.copy(Bitmap.Config.ARGB_8888, false)
        val pixels = IntArray(readable.width * readable.height)
        readable.getPixels(pixels, 0, readable.width, 0, 0, readable.width, readable.height)
        return preprocessor.apply(pixels, readable.width, readable.height)
    }

    override fun close() = runner.close()

    companion object {
        /** An encoded image as the model is to see it: full size, colours not multiplied by alpha. */
        @JvmStatic
        fun decode(stream: InputStream): Bitmap {
            val options = BitmapFactory.Options()
            options.inPreferredConfig = Bitmap.Config.ARGB_8888
            options.inPremultiplied = false
            options.inScaled = false
            return requireNotNull(BitmapFactory.decodeStream(stream, null, options)) { "not an image" }
        }
    }
}

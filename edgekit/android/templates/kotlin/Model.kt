package @PACKAGE@

import android.content.Context
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import java.io.InputStream
import java.nio.ByteBuffer

/**
 * Image in, outputs by name, exactly as the bundle's contract says.
 *
 * Keep one per thread that uses it; making one loads the model. [close] frees it.
 */
class Model(context: Context, options: ModelRunner.Options = ModelRunner.Options()) : AutoCloseable {
    private val preprocessor = Preprocessor(Contract.INPUT)
    private val runner = ModelRunner(context.assets.open(Contract.MODEL).use { it.readBytes() }, options)

    /** Every output for an image, which must stand upright: EXIF tags are not looked at. */
    fun run(bitmap: Bitmap): Outputs = run(preprocess(bitmap))

    /** The same from an input tensor as the file stores it. */
    fun run(input: ByteBuffer): Outputs = runner.run(input)

    /** The input tensor as the file stores it. */
    fun preprocess(bitmap: Bitmap): ByteBuffer {
        val readable = if (bitmap.config == Bitmap.Config.ARGB_8888) bitmap else bitmap.copy(Bitmap.Config.ARGB_8888, false)
        val pixels = IntArray(readable.width * readable.height)
        readable.getPixels(pixels, 0, readable.width, 0, 0, readable.width, readable.height)
        return preprocess(pixels, readable.width, readable.height)
    }

    /** The same from pixels as [Bitmap.getPixels] gives them: ARGB, not premultiplied, row by row. */
    fun preprocess(pixels: IntArray, width: Int, height: Int): ByteBuffer = preprocessor.apply(pixels, width, height)

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

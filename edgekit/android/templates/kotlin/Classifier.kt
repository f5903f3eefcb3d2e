package @PACKAGE@

import android.content.Context
import android.graphics.Bitmap
import java.io.InputStream
import java.nio.ByteBuffer

/**
 * Image in, classes out, exactly as the bundle's contract says.
 *
 * Keep one per thread that uses it; making one loads the model. [close] frees it.
 */
class Classifier(context: Context, options: ModelRunner.Options = ModelRunner.Options()) : AutoCloseable {
    /** Class names by index; empty where the model has none. */
    val labels: List<String> =
        if (Contract.LABELS.isEmpty()) emptyList() else context.assets.open(Contract.LABELS).bufferedReader().readLines()

    private val model = Model(context, options)

    /** The [count] likeliest classes, likeliest first. The image must stand upright: EXIF tags are not looked at. */
    fun classify(bitmap: Bitmap, count: Int = 5): List<Result> = classify(run(bitmap), count)

    /** The same from what [run] gave. */
    fun classify(outputs: Outputs, count: Int = 5): List<Result> = Scores.top(Scores.of(outputs), labels, count)

    /** Every output of the model, the scores among them. */
    fun run(bitmap: Bitmap): Outputs = model.run(bitmap)

    /** One score per class. */
    fun scores(bitmap: Bitmap): FloatArray = Scores.of(run(bitmap))

    /** The same from an input tensor as the file stores it. */
    fun scores(input: ByteBuffer): FloatArray = Scores.of(model.run(input))

    /** The input tensor as the file stores it. */
    fun preprocess(bitmap: Bitmap): ByteBuffer = model.preprocess(bitmap)

    override fun close() = model.close()

    companion object {
        /** See [Model.decode]. */
        @JvmStatic
        fun decode(stream: InputStream): Bitmap = Model.decode(stream)
    }
}

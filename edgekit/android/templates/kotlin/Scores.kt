package @PACKAGE@

import java.nio.ByteBuffer

/** A class and what the model says of it. */
data class Result(val index: Int, val label: String, val score: Float)

/** From the model's output tensor to classes. It needs nothing of Android, so it runs on any JVM. */
object Scores {
    /** Real values of a stored output tensor, from its position to its limit. */
    fun dequantize(stored: ByteBuffer): FloatArray {
        val count = stored.remaining() / Contract.OUTPUT_TYPE.bytes
        return when (Contract.OUTPUT_TYPE) {
            TensorType.FLOAT32 -> FloatArray(count) { stored.getFloat() }
            TensorType.INT8 -> FloatArray(count) { real(stored.get().toInt()) }
            TensorType.UINT8 -> FloatArray(count) { real(stored.get().toInt() and 0xFF) }
            TensorType.INT16 -> FloatArray(count) { real(stored.getShort().toInt()) }
        }
    }

    private fun real(stored: Int): Float = Contract.OUTPUT_SCALE * (stored - Contract.OUTPUT_ZERO_POINT)

    /** The [count] highest scores, highest first; of equal ones the lower index. */
    fun top(scores: FloatArray, labels: List<String>, count: Int): List<Result> =
        scores.indices
            .sortedByDescending { scores[it] }
            .take(count)
            .map { Result(it, labels.getOrElse(it) { index -> "class $index" }, scores[it]) }
}

package @PACKAGE@

import java.nio.ByteBuffer

/**
 * What the model gave for one input: the real values of every output, by name.
 *
 * They lie in the order in which the file stores them: see shape and layout in [Contract.OUTPUTS].
 */
class Outputs(private val values: Map<String, FloatArray>) {
    /** In the order of [Contract.OUTPUTS]. */
    val names: Set<String> get() = values.keys

    operator fun get(name: String): FloatArray =
        requireNotNull(values[name]) { "no output is called $name; there are: ${names.joinToString()}" }
}

/**
 * One output of the model file; [Contract.OUTPUTS] has them all.
 *
 * @property shape in the order in which the file stores it, with the batch of one: [1, height, width, channels] for NHWC.
 * @property layout what the axes are: NCHW, NHWC, NC or other.
 * @property scale value = scale * (stored - zeroPoint); 1 and 0 where the file stores the values themselves.
 * @property meaning scores: one number per class; values: anything else.
 */
class OutputContract(
    val name: String,
    val type: TensorType,
    val shape: List<Int>,
    val layout: String,
    val scale: Float,
    val zeroPoint: Int,
    val meaning: String,
) {
    /** Real values of the stored tensor, from the buffer's position to its limit. */
    fun dequantize(stored: ByteBuffer): FloatArray {
        val count = stored.remaining() / type.bytes
        return when (type) {
            TensorType.FLOAT32 -> FloatArray(count) { stored.getFloat() }
            TensorType.INT8 -> FloatArray(count) { real(stored.get().toInt()) }
            TensorType.UINT8, TensorType.BOOL -> FloatArray(count) { real(stored.get().toInt() and 0xFF) }
            TensorType.INT16 -> FloatArray(count) { real(stored.getShort().toInt()) }
            TensorType.INT32 -> FloatArray(count) { real(stored.getInt()) }
            TensorType.INT64 -> FloatArray(count) { stored.getLong().toFloat() }
        }
    }

    private fun real(stored: Int): Float = scale * (stored - zeroPoint)
}

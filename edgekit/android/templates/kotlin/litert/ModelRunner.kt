package @PACKAGE@

import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.tensorflow.lite.Delegate
import org.tensorflow.lite.Interpreter

/** Runs the .tflite file in LiteRT's interpreter. */
class ModelRunner(model: ByteArray, options: Options = Options()) : AutoCloseable {
    /**
     * @property threads for the CPU.
     * @property xnnpack the CPU's fast kernels; what the export measured and verified.
     * @property delegates others, tried before it, for example `GpuDelegate()` of litert-gpu. Close them after the runner.
     */
    class Options(val threads: Int = 4, val xnnpack: Boolean = true, val delegates: List<Delegate> = emptyList())

    private val interpreter: Interpreter
    private val output: ByteBuffer

    init {
        val buffer = ByteBuffer.allocateDirect(model.size).order(ByteOrder.nativeOrder())
        buffer.put(model)
        buffer.rewind()
        val settings = Interpreter.Options()
        settings.setNumThreads(options.threads)
        settings.setUseXNNPACK(options.xnnpack)
        for (delegate in options.delegates) settings.addDelegate(delegate)
        interpreter = Interpreter(buffer, settings)
        output = ByteBuffer.allocateDirect(interpreter.getOutputTensor(0).numBytes()).order(ByteOrder.nativeOrder())
    }

    /** The first output of one input tensor, dequantized. */
    fun run(input: ByteBuffer): FloatArray {
        output.clear()
        interpreter.runForMultipleInputsOutputs(arrayOf(input), mapOf(0 to output))
        output.rewind()
        return Scores.dequantize(output)
    }

    override fun close() = interpreter.close()
}

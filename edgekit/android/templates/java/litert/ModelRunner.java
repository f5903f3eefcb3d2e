package @PACKAGE@;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.tensorflow.lite.Delegate;
import org.tensorflow.lite.Interpreter;

/** Runs the .tflite file in LiteRT's interpreter. */
public final class ModelRunner implements AutoCloseable {
    /** How the file is run. */
    public static final class Options {
        /** For the CPU. */
        public int threads = 4;

        /** The CPU's fast kernels; what the export measured and verified. */
        public boolean xnnpack = true;

        /** Others, tried before it, for example GpuDelegate of litert-gpu. Close them after the runner. */
        public final List<Delegate> delegates = new ArrayList<>();
    }

    private final Interpreter interpreter;
    private final ByteBuffer output;

    public ModelRunner(byte[] model, Options options) {
        ByteBuffer buffer = ByteBuffer.allocateDirect(model.length).order(ByteOrder.nativeOrder());
        buffer.put(model);
        buffer.rewind();
        Interpreter.Options settings = new Interpreter.Options();
        settings.setNumThreads(options.threads);
        settings.setUseXNNPACK(options.xnnpack);
        for (Delegate delegate : options.delegates) {
            settings.addDelegate(delegate);
        }
        interpreter = new Interpreter(buffer, settings);
        output = ByteBuffer.allocateDirect(interpreter.getOutputTensor(0).numBytes())
                .order(ByteOrder.nativeOrder());
    }

    /** The first output of one input tensor, dequantized. */
    public float[] run(ByteBuffer input) {
        output.clear();
        interpreter.runForMultipleInputsOutputs(new Object[] {input}, Collections.singletonMap(0, output));
        output.rewind();
        return Scores.dequantize(output);
    }

    @Override
    public void close() {
        interpreter.close();
    }
}

package @PACKAGE@;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
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

    /** By place in the file, as the interpreter wants them. */
    private final Map<Integer, Object> stored = new HashMap<>();

    /** The same by name: the order of a file's outputs is no contract. */
    private final Map<String, ByteBuffer> named = new HashMap<>();

    public ModelRunner(byte[] model, Options options) {
        ByteBuffer buffer = buffer(model.length);
        buffer.put(model);
        buffer.rewind();
        Interpreter.Options settings = new Interpreter.Options();
        settings.setNumThreads(options.threads);
        settings.setUseXNNPACK(options.xnnpack);
        for (Delegate delegate : options.delegates) {
            settings.addDelegate(delegate);
        }
        interpreter = new Interpreter(buffer, settings);
        for (OutputContract output : Contract.OUTPUTS) {
            int index = interpreter.getOutputIndex(output.name);
            named.put(output.name, buffer(interpreter.getOutputTensor(index).numBytes()));
            stored.put(index, named.get(output.name));
        }
    }

    /** Every output for one input tensor, dequantized. */
    public Outputs run(ByteBuffer input) {
        for (ByteBuffer buffer : named.values()) {
            buffer.clear();
        }
        interpreter.runForMultipleInputsOutputs(new Object[] {input}, stored);
        Map<String, float[]> values = new LinkedHashMap<>();
        for (OutputContract output : Contract.OUTPUTS) {
            ByteBuffer buffer = named.get(output.name);
            buffer.rewind();
            values.put(output.name, output.dequantize(buffer));
        }
        return new Outputs(values);
    }

    @Override
    public void close() {
        interpreter.close();
    }

    private static ByteBuffer buffer(int bytes) {
        return ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder());
    }
}

package org.tensorflow.lite;

import edgekit.bridge.Bridge;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

public final class Interpreter implements AutoCloseable {
    public static class Options {
        public Options setNumThreads(int numThreads) {
            return this;
        }

        public Options setUseXNNPACK(boolean useXNNPACK) {
            return this;
        }

        public Options addDelegate(Delegate delegate) {
            return this;
        }
    }

    private final Bridge bridge;

    public Interpreter(ByteBuffer byteBuffer, Options options) {
        if (!byteBuffer.isDirect() || byteBuffer.order() != ByteOrder.nativeOrder()) {
            throw new IllegalArgumentException(
                    "Model ByteBuffer should be either a MappedByteBuffer of the model file, or a direct ByteBuffer"
                            + " using ByteOrder.nativeOrder() which contains bytes of model content.");
        }
        byte[] model = new byte[byteBuffer.remaining()];
        byteBuffer.duplicate().get(model);
        bridge = new Bridge(model, ".tflite");
    }

    public int getOutputIndex(String opName) {
        int index = names().indexOf(opName);
        if (index < 0) {
            throw new IllegalArgumentException("'" + opName + "' is not a valid name for any output: " + names());
        }
        return index;
    }

    public Tensor getOutputTensor(int outputIndex) {
        return () -> bridge.outputs.get(names().get(outputIndex));
    }

    private List<String> names() {
        return new ArrayList<>(bridge.outputs.keySet());
    }

    public void runForMultipleInputsOutputs(Object[] inputs, Map<Integer, Object> outputs) {
        byte[] input = new byte[((ByteBuffer) inputs[0]).remaining()];
        ((ByteBuffer) inputs[0]).duplicate().get(input);
        List<byte[]> stored = new ArrayList<>(bridge.run(input).values());
        outputs.forEach((index, buffer) -> ((ByteBuffer) buffer).put(stored.get(index)));
    }

    @Override
    public void close() {
        bridge.close();
    }
}

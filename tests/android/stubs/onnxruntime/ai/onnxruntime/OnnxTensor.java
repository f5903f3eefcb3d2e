package ai.onnxruntime;

import java.nio.ByteBuffer;

public class OnnxTensor extends OnnxTensorLike {
    private final ByteBuffer data;

    OnnxTensor(ByteBuffer data) {
        this.data = data;
    }

    public static OnnxTensor createTensor(OrtEnvironment env, ByteBuffer data, long[] shape, OnnxJavaType type)
            throws OrtException {
        return new OnnxTensor(data);
    }

    public ByteBuffer getByteBuffer() {
        return data.duplicate();
    }

    @Override
    public synchronized void close() {}
}

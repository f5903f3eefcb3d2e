package edgekit.harness;

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Paths;

/** Runs a generated Preprocessor, in Java or Kotlin, over the cases of a file; see cases.py for the format. */
public final class Harness {
    public static void main(String[] arguments) throws IOException {
        try (DataInputStream in =
                        new DataInputStream(new BufferedInputStream(Files.newInputStream(Paths.get(arguments[0]))));
                DataOutputStream out = new DataOutputStream(
                        new BufferedOutputStream(Files.newOutputStream(Paths.get(arguments[1]))))) {
            for (int cases = in.readInt(); cases > 0; cases--) {
                Preprocessor preprocessor = new Preprocessor(readContract(in));
                int width = in.readInt();
                int height = in.readInt();
                ByteBuffer tensor = preprocessor.apply(readInts(in, width * height), width, height);
                byte[] bytes = new byte[tensor.remaining()];
                tensor.get(bytes);
                out.writeInt(bytes.length);
                out.write(bytes);
            }
        }
    }

    private static InputContract readContract(DataInputStream in) throws IOException {
        int[] n = readInts(in, 9);
        float scale = in.readFloat();
        int channels = in.readInt();
        float[] mean = readFloats(in, channels);
        float[] std = readFloats(in, channels);
        TensorType type = TensorType.values()[n[7]];
        return new InputContract(
                n[0], n[1], n[2], n[3] == 1, mean, std, n[4] == 1, n[5] == 1, n[6] == 1, type, scale, n[8]);
    }

    private static int[] readInts(DataInputStream in, int count) throws IOException {
        int[] values = new int[count];
        for (int i = 0; i < count; i++) {
            values[i] = in.readInt();
        }
        return values;
    }

    private static float[] readFloats(DataInputStream in, int count) throws IOException {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = in.readFloat();
        }
        return values;
    }
}

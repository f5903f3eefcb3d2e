package edgekit.bridge;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/** A model file in a Python process with the real runtime; see model_server.py. */
public final class Bridge implements AutoCloseable {
    private final Process process;
    private final DataOutputStream to;
    private final DataInputStream from;

    /** Name -> size in bytes of each output, in the file's order. */
    public final Map<String, Integer> outputs = new LinkedHashMap<>();

    public Bridge(byte[] model, String suffix) {
        try {
            Path file = Files.createTempFile("model", suffix);
            Files.write(file, model);
            process = new ProcessBuilder(
                            System.getProperty("edgekit.python"), System.getProperty("edgekit.server"), file.toString())
                    .redirectError(ProcessBuilder.Redirect.INHERIT)
                    .start();
            to = new DataOutputStream(process.getOutputStream());
            from = new DataInputStream(process.getInputStream());
            for (int count = from.readInt(); count > 0; count--) {
                String name = new String(from.readNBytes(from.readInt()), StandardCharsets.UTF_8);
                outputs.put(name, from.readInt());
            }
            Files.delete(file);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    /** The stored bytes of every output, in the file's order. */
    public Map<String, byte[]> run(byte[] input) {
        try {
            to.writeInt(input.length);
            to.write(input);
            to.flush();
            Map<String, byte[]> stored = new LinkedHashMap<>();
            for (Map.Entry<String, Integer> output : outputs.entrySet()) {
                stored.put(output.getKey(), from.readNBytes(output.getValue()));
            }
            return stored;
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    @Override
    public void close() {
        process.destroy();
    }
}

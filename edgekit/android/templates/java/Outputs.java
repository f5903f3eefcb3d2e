package @PACKAGE@;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/**
 * What the model gave for one input: the real values of every output, by name.
 *
 * <p>They lie in the order in which the file stores them: see shape and layout in {@link Contract#OUTPUTS}.
 */
public final class Outputs {
    private final Map<String, float[]> values;

    Outputs(Map<String, float[]> values) {
        this.values = Collections.unmodifiableMap(new LinkedHashMap<>(values));
    }

    /** In the order of {@link Contract#OUTPUTS}. */
    public Set<String> names() {
        return values.keySet();
    }

    public float[] get(String name) {
        float[] found = values.get(name);
        if (found == null) {
            throw new IllegalArgumentException("no output is called " + name + "; there are: " + names());
        }
        return found;
    }
}

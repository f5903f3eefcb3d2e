package @PACKAGE@;

/** A class and what the model says of it. */
public final class Result {
    public final int index;
    public final String label;
    public final float score;

    public Result(int index, String label, float score) {
        this.index = index;
        this.label = label;
        this.score = score;
    }

    @Override
    public String toString() {
        return label + " " + score;
    }
}

package @PACKAGE@

/** A class and what the model says of it. */
data class Result(val index: Int, val label: String, val score: Float)

/** From the model's outputs to classes. It needs nothing of Android, so it runs on any JVM. */
object Scores {
    private val NAME = Contract.OUTPUTS.first { it.meaning == "scores" }.name

    /** The output that holds one score per class. */
    fun of(outputs: Outputs): FloatArray = outputs[NAME]

    /** The [count] highest scores, highest first; of equal ones the lower index. */
    fun top(scores: FloatArray, labels: List<String>, count: Int): List<Result> =
        scores.indices
            .sortedByDescending { scores[it] }
            .take(count)
            .map { Result(it, labels.getOrElse(it) { index -> "class $index" }, scores[it]) }
}

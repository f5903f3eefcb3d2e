package edgekit.sample

import android.app.Activity
import android.content.Intent
import android.net.Uri
import android.os.Bundle
import android.widget.Button
import android.widget.LinearLayout
import android.widget.TextView
import edgekit.model.Classifier
import java.util.concurrent.Executors

/** Picks a picture and shows its three likeliest classes. */
class MainActivity : Activity() {
    private val worker = Executors.newSingleThreadExecutor()
    private lateinit var answer: TextView

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        answer = TextView(this)
        val button = Button(this)
        button.text = "Choose a picture"
        button.setOnClickListener {
            startActivityForResult(Intent(Intent.ACTION_GET_CONTENT).setType("image/*"), 1)
        }
        val column = LinearLayout(this)
        column.orientation = LinearLayout.VERTICAL
        column.addView(button)
        column.addView(answer)
        setContentView(column)
    }

    @Deprecated("Deprecated in Java")
    override fun onActivityResult(request: Int, result: Int, data: Intent?) {
        val picture = data?.data ?: return
        worker.execute {
            val text = describe(picture)
            runOnUiThread { answer.text = text }
        }
    }

    private fun describe(picture: Uri): String = Classifier(this).use { classifier ->
        val bitmap = contentResolver.openInputStream(picture)!!.use { Classifier.decode(it) }
        classifier.classify(bitmap, 3).joinToString("\n") { "${it.label} ${it.score}" }
    }
}

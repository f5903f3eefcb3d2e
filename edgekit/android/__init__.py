"""What an app developer needs: a Gradle library module, and the preprocessing in Kotlin, Java and C++.

The sources are files of `templates/`, complete but for `@NAME@` marks; what differs from bundle to bundle is the one
generated file of constants.
"""

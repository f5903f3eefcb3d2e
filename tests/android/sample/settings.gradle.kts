// The smallest app that uses a generated module: gradle -Pmodule=FOLDER
pluginManagement {
    repositories {
        google()
        mavenCentral()
        gradlePluginPortal()
    }
}

dependencyResolutionManagement {
    repositories {
        google()
        mavenCentral()
    }
}

rootProject.name = "sample"
include(":app", ":model")
project(":model").projectDir = file(providers.gradleProperty("module").get())

# A release of two images, one on top of the other, with everything that is handed out:
#
#   hardtack build -var version=1.2.3 templates/release

source "oci" "base" {
  layout = "${path.root}/../../fixtures/busybox"
}

# The result of another build of this template; that build runs first.
source "oci" "app" {
  from = "runtime.oci.base"
}

build {
  name    = "runtime"
  sources = ["source.oci.base"]

  provisioner "shell" {
    inline = [
      "mkdir -p /opt/app/bin",
      "echo 'app:x:1000:1000:app:/opt/app:/bin/sh' >> /etc/passwd",
      "echo 'app:x:1000:' >> /etc/group",
    ]
  }

  config {
    env = {
      PATH = "/opt/app/bin:/bin:/usr/bin"
    }
    labels = local.labels
  }

  post-processor "docker-tag" {
    repository = "${var.repository}-runtime"
    tags       = local.tags
  }
}

build {
  name    = "app"
  sources = ["source.oci.app"]

  provisioner "file" {
    source      = "${path.root}/files/app"
    destination = "/opt/app/bin/app"
  }

  provisioner "shell" {
    environment_vars = ["VERSION=${var.version}"]
    inline = [
      "chmod 755 /opt/app/bin/app",
      "echo \"$VERSION\" > /opt/app/version",
    ]
  }

  config {
    user       = "app"
    workdir    = "/opt/app"
    entrypoint = ["app"]
    labels     = local.labels
    annotations = {
      "org.opencontainers.image.version" = var.version
    }
  }

  # Names in the store.
  post-processor "docker-tag" {
    repository = var.repository
    tags       = local.tags
  }

  # A folder for skopeo, podman and others.
  post-processor "oci-layout" {
    path = "${local.output}/layout"
  }

  # A chain: each takes what the one before it made.
  post-processors {
    post-processor "oci-archive" {
      path = "${local.output}/app-${var.version}.tar"
    }
    post-processor "checksum" {
      checksum_types = ["sha256"]
      output         = "${local.output}/app-${var.version}.sha256"
    }
  }

  post-processor "manifest" {
    output     = "${local.output}/manifest.json"
    strip_path = true
    custom_data = {
      version = var.version
    }
  }
}

# A first template. Build it, then run what it made:
#
#   hardtack build templates/quickstart
#   hardtack run quickstart.oci.busybox

# A source says where an image starts. This one is a folder in the OCI image layout that lies in
# this repository, so that nothing is downloaded.
source "oci" "busybox" {
  layout = "${path.root}/../../fixtures/busybox"
}

# A variable can be set from outside: -var 'name=you', PKR_VAR_name, or a *.auto.pkrvars.hcl file.
variable "name" {
  type        = string
  default     = "world"
  description = "Who is greeted."
}

build {
  name    = "quickstart"
  sources = ["source.oci.busybox"]

  # Each provisioner is one layer, kept in the store by the content of all that it depends on.
  # Build twice: the second time all of them come from the store.
  provisioner "shell" {
    inline = [
      "mkdir -p /srv/app",
      "echo \"made for $(uname -m) from BusyBox\" > /srv/app/notes",
    ]
  }

  # Host paths start at ${path.root}, the folder of this template.
  provisioner "file" {
    source      = "${path.root}/files/greet"
    destination = "/usr/bin/greet"
  }

  # Change the name, and only this step runs again: the two above do not depend on it.
  provisioner "shell" {
    env = {
      NAME = var.name
    }
    inline = [
      "chmod 755 /usr/bin/greet",
      "echo \"$NAME\" > /srv/app/name",
    ]
  }

  # What the image says about running it.
  config {
    workdir = "/srv/app"
    cmd     = ["/usr/bin/greet"]
    env = {
      GREETING = "hello"
    }
    labels = {
      "org.opencontainers.image.title" = "quickstart"
    }
  }

  # What the image must fulfil before anything is done with it. It runs on a throw-away layer.
  test "greets" {
    command = ["greet"]
    stdout  = ["^hello, ${var.name}$"]
    file "/usr/bin/greet" {
      mode = "0755"
    }
  }
}

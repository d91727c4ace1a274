# A web server on a real Debian. It needs mmdebstrap on the host and Debian's package archive:
#
#   hardtack build templates/debian-nginx
#   hardtack run debian-nginx.debootstrap.debian -- -v

variable "suite" {
  type        = string
  default     = "bookworm"
  description = "The Debian release."
}

# The smallest Debian that has apt. It becomes the image's first layer.
source "debootstrap" "debian" {
  suite   = var.suite
  variant = "minbase"
}

build {
  name    = "debian-nginx"
  sources = ["source.debootstrap.debian"]

  provisioner "shell" {
    name = "packages"
    env = {
      DEBIAN_FRONTEND = "noninteractive"
    }
    inline = [
      "apt-get update",
      "apt-get install --yes --no-install-recommends nginx-light",
      # What differs from one run to the next, and nothing needs.
      "apt-get clean",
      "rm -rf /var/lib/apt/lists/*_* /var/cache/ldconfig/aux-cache /var/cache/debconf/*-old",
      "rm -f /var/log/dpkg.log /var/log/apt/* /var/log/alternatives.log",
    ]
  }

  provisioner "file" {
    sources = [
      "${path.root}/files/nginx.conf",
      "${path.root}/files/mime-extra.conf",
    ]
    destination = "/etc/nginx/"
  }

  # The trailing slash of the source means: what is in it, not the folder itself.
  provisioner "file" {
    source      = "${path.root}/files/www/"
    destination = "/var/www/html"
  }

  # A mistake in the configuration fails the build, not the first start.
  provisioner "shell" {
    name    = "check"
    network = "none"
    inline = [
      "nginx -t -q",
      "rm -f /run/nginx.pid /var/log/nginx/*",
    ]
  }

  config {
    entrypoint  = ["nginx"]
    cmd         = ["-g", "daemon off;"]
    ports       = ["8080"]
    stop_signal = "SIGQUIT"
    labels = {
      "org.opencontainers.image.title" = "debian-nginx"
    }
    healthcheck {
      test     = ["CMD-SHELL", "kill -0 $(cat /run/nginx.pid)"]
      interval = "30s"
    }
  }

  # The image's own program is started, and must listen before the rest is looked at.
  test "serves the page" {
    port "8080" {}
    command = [
      "bash", "-c",
      "exec 3<>/dev/tcp/127.0.0.1/8080; printf 'GET / HTTP/1.0\r\n\r\n' >&3; cat <&3"
    ]
    stdout = ["^HTTP/1.1 200 OK"]
    user "www-data" {
      shell = "/usr/sbin/nologin"
    }
  }
}

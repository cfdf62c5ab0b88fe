# User data for cloud-init that makes a fresh Debian 13 machine a node of Hayloft: it formats and mounts the disks that have no file
# system yet, installs the npm package and runs it as the service of ../systemd. It needs no provider: give `user_data` to the
# machine of any cloud that runs cloud-init. examples/aws shows one.

terraform {
  required_version = ">= 1.3"
}

variable "package" {
  description = "What npm installs: hayloft@X.Y.Z, or the address of hayloft-X.Y.Z.tgz."
  type        = string
}

variable "disks" {
  description = "Block devices for data, such as /dev/nvme1n1. One with a file system is not formatted."
  type        = list(string)
  validation {
    condition     = length(var.disks) > 0
    error_message = "A store needs at least one disk."
  }
}

variable "settings" {
  description = "Settings of the config file beyond those that this module sets, such as { redundancy = \"ec:4+2\" }."
  type        = any
  default     = {}
}

variable "cluster" {
  description = "For one of several nodes: the URL of the database, the names of node and zone, the address for the other nodes, and the master key (64 hex digits), the same for all nodes; without it, something else has to write /etc/hayloft.key."
  type = object({
    database   = string
    node       = string
    zone       = string
    address    = string
    master_key = optional(string)
  })
  default   = null
  sensitive = true
}

locals {
  folders  = [for i in range(length(var.disks)) : "/srv/hayloft/disk${i + 1}"]
  key_file = "/etc/hayloft.key"
  # Waits for disks that the cloud attaches after the start.
  disks_script = "/usr/local/sbin/hayloft-disks"
  cluster = var.cluster == null ? {} : {
    cluster       = var.cluster.database
    node          = var.cluster.node
    zone          = var.cluster.zone
    nodeListen    = var.cluster.address
    masterKeyFile = local.key_file
  }
  config = merge({ data = local.folders, listen = "0.0.0.0:9000", adminListen = "127.0.0.1:9001" }, local.cluster, var.settings)

  # npm installs elsewhere than a checkout is, and each disk is a mount of its own: without it the service does not start, so that
  # a disk that is missing never becomes a folder on the system disk.
  unit = replace(
    replace(file("${path.module}/../systemd/hayloft.service"), "/opt/hayloft/bin", "/usr/local/lib/node_modules/hayloft/bin"),
    "/RequiresMountsFor=.*/", "RequiresMountsFor=${join(" ", local.folders)}"
  )
  files = concat(
    [
      { path = "/etc/systemd/system/hayloft.service", content = local.unit, owner = "root:root", permissions = "0644" },
      { path = local.disks_script, content = file("${path.module}/disks.sh"), owner = "root:root", permissions = "0755" },
      { path = "/etc/hayloft.json", content = jsonencode(local.config), owner = "root:hayloft", permissions = "0640" },
    ],
    try(var.cluster.master_key, null) == null ? [] : [
      { path = local.key_file, content = "${var.cluster.master_key}\n", owner = "hayloft:hayloft", permissions = "0600" },
    ]
  )
  cloud_config = {
    package_update = true
    packages       = ["nodejs", "npm", "xfsprogs"]
    users          = ["default", { name = "hayloft", system = true, shell = "/usr/sbin/nologin" }]
    # Written once the user exists.
    write_files = [for each in local.files : merge(each, { defer = true })]
    runcmd = concat(
      [["npm", "install", "--global", "--prefix", "/usr/local", var.package]],
      [concat(["sh", local.disks_script], var.disks), ["systemctl", "daemon-reload"], ["systemctl", "enable", "--now", "hayloft"]],
    )
  }
}

output "user_data" {
  description = "JSON is YAML."
  value       = "#cloud-config\n${jsonencode(local.cloud_config)}"
  sensitive   = true
}

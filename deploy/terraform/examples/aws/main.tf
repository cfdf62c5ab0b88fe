# One node on EC2 with four volumes of 500 GB, reachable from the VPC. `terraform apply -var package=hayloft@X.Y.Z -var subnet_id=...`.
# Volumes outlive the machine: a new one with the same volumes goes on with the same store.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "package" {
  type = string
}

variable "subnet_id" {
  type = string
}

data "aws_subnet" "here" {
  id = var.subnet_id
}

data "aws_vpc" "here" {
  id = data.aws_subnet.here.vpc_id
}

data "aws_ami" "debian" {
  most_recent = true
  owners      = ["136693071363"]
  filter {
    name   = "name"
    values = ["debian-13-arm64-*"]
  }
}

module "hayloft" {
  source  = "../.."
  package = var.package
  # EBS volumes of Nitro machines, in the order of their attachment.
  disks    = [for i in range(4) : "/dev/nvme${i + 1}n1"]
  settings = { redundancy = "ec:3+1" }
}

resource "aws_security_group" "hayloft" {
  name_prefix = "hayloft-"
  vpc_id      = data.aws_vpc.here.id
  ingress {
    from_port   = 9000
    to_port     = 9000
    protocol    = "tcp"
    cidr_blocks = [data.aws_vpc.here.cidr_block]
  }
  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_ebs_volume" "disk" {
  count             = 4
  availability_zone = data.aws_subnet.here.availability_zone
  size              = 500
  type              = "gp3"
  encrypted         = true
}

resource "aws_instance" "node" {
  ami                    = data.aws_ami.debian.id
  instance_type          = "m7g.large"
  subnet_id              = var.subnet_id
  vpc_security_group_ids = [aws_security_group.hayloft.id]
  user_data              = module.hayloft.user_data
  metadata_options {
    http_tokens = "required"
  }
}

resource "aws_volume_attachment" "disk" {
  count       = 4
  device_name = "/dev/sd${element(["f", "g", "h", "i"], count.index)}"
  volume_id   = aws_ebs_volume.disk[count.index].id
  instance_id = aws_instance.node.id
}

output "endpoint" {
  value = "http://${aws_instance.node.private_ip}:9000"
}

# Every resource of S3 and IAM that a store of this version supports, and that people manage with Terraform.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100.0"
    }
  }
}

provider "aws" {
  s3_use_path_style = true
}

resource "aws_s3_bucket" "plain" {
  bucket = "tf-plain"
}

resource "aws_s3_bucket" "full" {
  bucket        = "tf-full"
  tags          = { team = "a", "env" = "test" }
  force_destroy = true
}

resource "aws_s3_bucket_versioning" "v" {
  bucket = aws_s3_bucket.full.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_public_access_block" "p" {
  bucket                  = aws_s3_bucket.full.id
  block_public_acls       = true
  block_public_policy     = false
  ignore_public_acls      = true
  restrict_public_buckets = false
}

resource "aws_s3_bucket_ownership_controls" "o" {
  bucket = aws_s3_bucket.full.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_cors_configuration" "c" {
  bucket = aws_s3_bucket.full.id
  cors_rule {
    allowed_headers = ["*"]
    allowed_methods = ["PUT", "GET"]
    allowed_origins = ["https://example.com"]
    expose_headers  = ["ETag"]
    max_age_seconds = 300
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "l" {
  bucket = aws_s3_bucket.full.id
  rule {
    id     = "old logs"
    status = "Enabled"
    filter {
      and {
        prefix = "logs/"
        tags   = { keep = "no" }
      }
    }
    expiration {
      days = 30
    }
    noncurrent_version_expiration {
      noncurrent_days           = 7
      newer_noncurrent_versions = 3
    }
  }
  rule {
    id     = "clean up"
    status = "Enabled"
    filter {}
    expiration {
      expired_object_delete_marker = true
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 3
    }
  }
  depends_on = [aws_s3_bucket_versioning.v]
}

resource "aws_s3_bucket_policy" "p" {
  bucket = aws_s3_bucket.full.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Sid = "r", Effect = "Allow", Principal = { AWS = aws_iam_user.u.arn }, Action = ["s3:GetObject"], Resource = ["${aws_s3_bucket.full.arn}/*"] }]
  })
  depends_on = [aws_s3_bucket_public_access_block.p]
}

resource "aws_s3_bucket_request_payment_configuration" "r" {
  bucket = aws_s3_bucket.full.id
  payer  = "Requester"
}

resource "aws_s3_object" "o" {
  bucket  = aws_s3_bucket.full.id
  key     = "a/b.txt"
  content = "hello"
  tags    = { k = "v" }
}

resource "aws_iam_user" "u" {
  name = "tfuser"
  path = "/team/"
  tags = { a = "b" }
}

resource "aws_iam_access_key" "k" {
  user = aws_iam_user.u.name
}

resource "aws_iam_group" "g" {
  name = "tfgroup"
}

resource "aws_iam_group_membership" "m" {
  name  = "m"
  users = [aws_iam_user.u.name]
  group = aws_iam_group.g.name
}

data "aws_iam_policy_document" "d" {
  statement {
    actions   = ["s3:ListBucket"]
    resources = ["*"]
  }
}

resource "aws_iam_policy" "p" {
  name   = "tfpolicy"
  policy = data.aws_iam_policy_document.d.json
}

resource "aws_iam_group_policy_attachment" "a" {
  group      = aws_iam_group.g.name
  policy_arn = aws_iam_policy.p.arn
}

resource "aws_iam_user_policy" "up" {
  name   = "inline"
  user   = aws_iam_user.u.name
  policy = data.aws_iam_policy_document.d.json
}

data "aws_caller_identity" "me" {}

resource "aws_iam_role" "r" {
  name                 = "tfrole"
  max_session_duration = 7200
  assume_role_policy   = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Principal = { AWS = "arn:aws:iam::${data.aws_caller_identity.me.account_id}:root" }, Action = "sts:AssumeRole" }] })
}

resource "aws_iam_role_policy_attachment" "ra" {
  role       = aws_iam_role.r.name
  policy_arn = aws_iam_policy.p.arn
}

resource "aws_iam_openid_connect_provider" "oidc" {
  url             = "https://id.example.com"
  client_id_list  = ["app"]
  thumbprint_list = ["cf23df2207d99a74fbe169e3eba035e633b65d94"]
}

resource "aws_s3_bucket" "listed" {
  bucket = "tf-listed"
}

resource "aws_s3_bucket_ownership_controls" "listed" {
  bucket = aws_s3_bucket.listed.id
  rule {
    object_ownership = "BucketOwnerPreferred"
  }
}

resource "aws_s3_bucket_acl" "listed" {
  bucket     = aws_s3_bucket.listed.id
  acl        = "private"
  depends_on = [aws_s3_bucket_ownership_controls.listed]
}

resource "aws_s3_object" "listed" {
  bucket     = aws_s3_bucket.listed.id
  key        = "a"
  content    = "hello"
  acl        = "authenticated-read"
  depends_on = [aws_s3_bucket_ownership_controls.listed, aws_s3_bucket_public_access_block.listed]
}

resource "aws_s3_bucket_public_access_block" "listed" {
  bucket            = aws_s3_bucket.listed.id
  block_public_acls = false
}

resource "aws_s3_bucket_website_configuration" "w" {
  bucket = aws_s3_bucket.full.id
  index_document {
    suffix = "index.html"
  }
  error_document {
    key = "error.html"
  }
  routing_rule {
    condition {
      key_prefix_equals = "docs/"
    }
    redirect {
      replace_key_prefix_with = "documents/"
    }
  }
}

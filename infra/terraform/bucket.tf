resource "aws_s3_bucket" "store" {
  bucket = var.bucket
  tags   = var.tags

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_ownership_controls" "store" {
  bucket = aws_s3_bucket.store.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "store" {
  bucket                  = aws_s3_bucket.store.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "store" {
  bucket = aws_s3_bucket.store.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_versioning" "store" {
  bucket = aws_s3_bucket.store.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "store" {
  # Rules on noncurrent versions need versioning to be on.
  depends_on = [aws_s3_bucket_versioning.store]
  bucket     = aws_s3_bucket.store.id

  rule {
    id     = "abort-multipart-uploads"
    status = "Enabled"
    filter {}

    # Longer than any upload takes; parts of a writer that died cost money and show in no listing.
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  rule {
    id     = "expire-noncurrent-versions"
    status = "Enabled"
    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }

    expiration {
      expired_object_delete_marker = true
    }
  }

  rule {
    id     = "expire-unfinished-work"
    status = "Enabled"

    filter {
      prefix = "${var.prefixes.work}/"
    }

    expiration {
      days = var.work_days
    }
  }
}

resource "aws_s3_bucket_policy" "store" {
  # A policy that is put while public policies are not yet blocked may be refused.
  depends_on = [aws_s3_bucket_public_access_block.store]
  bucket     = aws_s3_bucket.store.id
  policy     = templatefile("${path.module}/policies/bucket.json", local.policy_variables)
}

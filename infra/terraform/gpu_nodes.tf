data "aws_iam_policy_document" "gpu_node" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "gpu_node" {
  count = var.gpu_nodes == null ? 0 : 1

  name               = "${var.bucket}-gpu-node"
  assume_role_policy = data.aws_iam_policy_document.gpu_node.json
  tags               = var.tags
}

resource "aws_iam_role_policy_attachment" "gpu_node" {
  # What every EKS node has: to join, to pull images, to be given addresses. S3 is for pods, not for nodes.
  for_each = var.gpu_nodes == null ? toset([]) : toset([
    "AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly", "AmazonEKS_CNI_Policy",
  ])

  role       = aws_iam_role.gpu_node[0].name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/${each.key}"
}

# Pods on these nodes reach AWS by their own roles only, not by asking the node for its credentials.
resource "aws_launch_template" "gpu_node" {
  count = var.gpu_nodes == null ? 0 : 1

  name_prefix = "${var.bucket}-gpu-"
  tags        = var.tags

  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size = var.gpu_nodes.disk_gib
      volume_type = "gp3"
      encrypted   = true
    }
  }
}

# Its image has NVIDIA's driver and container toolkit, not the device plugin that offers the GPUs to pods; and from
# 0 nodes on only the cluster's autoscaler gets any. Both have to be there.
resource "aws_eks_node_group" "gpu" {
  count      = var.gpu_nodes == null ? 0 : 1
  depends_on = [aws_iam_role_policy_attachment.gpu_node]

  cluster_name    = var.gpu_nodes.cluster
  node_group_name = "unimol2-gpu"
  node_role_arn   = aws_iam_role.gpu_node[0].arn
  subnet_ids      = var.gpu_nodes.subnet_ids
  instance_types  = var.gpu_nodes.instance_types
  capacity_type   = var.gpu_nodes.capacity_type
  ami_type        = "AL2023_x86_64_NVIDIA"
  tags            = var.tags

  launch_template {
    id      = aws_launch_template.gpu_node[0].id
    version = aws_launch_template.gpu_node[0].latest_version
  }

  # As in infra/kubernetes/base-job-template.json.
  labels = {
    accelerator = "nvidia"
  }

  taint {
    key    = "nvidia.com/gpu"
    value  = "present"
    effect = "NO_SCHEDULE"
  }

  scaling_config {
    desired_size = var.gpu_nodes.min_size
    min_size     = var.gpu_nodes.min_size
    max_size     = var.gpu_nodes.max_size
  }

  lifecycle {
    # The cluster's autoscaler changes it.
    ignore_changes = [scaling_config[0].desired_size]
  }
}

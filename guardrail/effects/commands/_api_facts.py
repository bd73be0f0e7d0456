"""What the verbs of cloud command lines do, and where single operations differ from what their verb says.

Not concerned with words of a command line (`_api`). Operations and option names are those of the CLIs' own references,
looked at in 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from guardrail.effects.commands._fact import Fact
from guardrail.effects.commands._fact import fact as _f
from guardrail.effects.commands._hub_facts import HUBS
from guardrail.model import Op

LOOKING: Final = frozenset(
    "list ls describe get head show view search lookup estimate test validate check simulate decode filter scan "
    "query detect wait info status print whoami history explain preview diff read tail config configure "
    "completion help version calculate count compare poll inspect browse discover retrieve peek log logs login "
    "logout auth sso select generate preflight verify ping available stats usage top whatis find summary "
    "summarize display query-all init use df ps images pods imagefsinfo events cves quickview recommendations "
    "activate-service-account print-access-token print-identity-token docker-login get-login stream".split()
)
"""First parts of verbs that change nothing behind the API."""

VERBS: Final[Mapping[str, Op]] = {
    **dict.fromkeys(
        "delete terminate purge deregister destroy drop rm del erase wipe empty prune expire undeploy uninstall "
        "unregister".split(),
        "api_delete",
    ),
    **dict.fromkeys(
        "copy cp clone duplicate replicate restore export import backup snapshot promote fork mirror transfer migrate "
        "failover archive recover".split(),
        "api_copy",
    ),
    **dict.fromkeys("share publish expose unpublish".split(), "api_visibility"),
    **dict.fromkeys(
        "start stop reboot restart suspend resume pause unpause hibernate kill poweroff".split(), "service"
    ),
    **dict.fromkeys("schedule".split(), "schedule"),
    **dict.fromkeys(
        "invoke execute exec ssh send-command start-session run-command attach-shell".split(), "remote_exec"
    ),
    **dict.fromkeys(
        "create run launch register allocate request submit provision deploy install issue mb make".split(), "create"
    ),
    **dict.fromkeys(
        "put update modify set add attach associate tag untag change apply edit patch replace upsert write insert "
        "upload enable disable lock unlock rotate move mv rename assign unassign remove detach disassociate revoke "
        "grant authorize accept reject cancel abort complete reset release renew batch bulk link unlink sync push "
        "resize scale expand extend upgrade downgrade rollback switch swap convert merge split commit notify send "
        "initiate begin end finalize close open subscribe unsubscribe allow deny cordon drain configure-lifecycle rb "
        "redrive refresh reload rebuild reimage reapply deallocate generalize failback increase decrease".split(),
        "write",
    ),
}
"""First part of a verb -> what it does to what the options name."""

COPIED: Final = frozenset("snapshot snapshots image replica backup clone copy".split())
"""Nouns of a `create-…` that make a copy of something there."""

FLAGS: Final = frozenset(
    "--quiet -q --yes -y --debug --verbose --force --recursive -r --dry-run --async --all --no-wait --wait --help -h "
    "--only-show-errors --no-paginate --no-verify-ssl --no-sign-request --no-cli-pager --version --json".split()
)
"""Options without a value, of the command lines whose options are not all known."""


_KEY = "s3://{--bucket}/{--key}"
_BUCKET = "s3://{--bucket}"
_BLOB = "az://{--container-name|-c}/{--name|-n}"

_AWS: Final[Mapping[str, Fact]] = {
    "s3api copy-object": _f("api_copy", _KEY, "s3://{--copy-source}"),
    "s3api upload-part-copy": _f("api_copy", _KEY, "s3://{--copy-source}"),
    "s3api put-object": _f("write", _KEY, files=("--body",)),
    "s3api upload-part": _f("write", _KEY, files=("--body",)),
    "s3api create-multipart-upload": _f("write", _KEY),
    "s3api complete-multipart-upload": _f("write", _KEY),
    "s3api abort-multipart-upload": _f("write", _KEY),
    "s3api get-object": _f("read", _KEY, outs=("last",)),
    "s3api get-object-torrent": _f("read", _KEY, outs=("last",)),
    "s3api select-object-content": _f("read", _KEY, outs=("last",)),
    "s3api delete-object": _f("api_delete", _KEY),
    "s3api delete-objects": _f("api_delete", f"{_BUCKET}/*"),
    "s3api delete-bucket": _f("api_delete", _BUCKET),
    "s3api restore-object": _f("write", _KEY),
    "s3api rename-object": _f("api_copy", _KEY, "s3://{--rename-source}"),
    "s3api put-object-acl": _f("api_visibility", _KEY),
    "s3api put-object-retention": _f("set_security", _KEY),
    "s3api put-object-legal-hold": _f("set_security", _KEY),
    "s3api put-object-lock-configuration": _f("set_security", _BUCKET),
    "s3api put-object-tagging": _f("write", _KEY),
    "s3api delete-object-tagging": _f("write", _KEY),
    "s3api put-bucket-acl": _f("api_visibility", _BUCKET),
    "s3api put-bucket-policy": _f("api_visibility", _BUCKET),
    "s3api delete-bucket-policy": _f("api_visibility", _BUCKET),
    "s3api put-public-access-block": _f("api_visibility", _BUCKET),
    "s3api delete-public-access-block": _f("api_visibility", _BUCKET),
    "s3api put-bucket-website": _f("api_visibility", _BUCKET),
    "s3api put-bucket-replication": _f("api_copy", "s3:*", _BUCKET),
    "s3api put-bucket-lifecycle-configuration": _f("write", _BUCKET),
    "s3api put-bucket-lifecycle": _f("write", _BUCKET),
    "s3api put-bucket-versioning": _f("set_security", _BUCKET),
    "ec2 create-snapshot": _f("api_copy", "aws:ec2/snapshot", "aws:ec2/{--volume-id}"),
    "ec2 create-snapshots": _f("api_copy", "aws:ec2/snapshot", "aws:ec2/{--instance-specification}"),
    "ec2 copy-snapshot": _f("api_copy", "aws:ec2/snapshot", "aws:ec2/{--source-snapshot-id}"),
    "ec2 create-image": _f("api_copy", "aws:ec2/image/{--name}", "aws:ec2/{--instance-id}"),
    "ec2 copy-image": _f("api_copy", "aws:ec2/image/{--name}", "aws:ec2/{--source-image-id}"),
    "ec2 export-image": _f("api_copy", "s3:{--s3-export-location}", "aws:ec2/{--image-id}"),
    "ec2 create-instance-export-task": _f("api_copy", "s3:{--export-to-s3-task}", "aws:ec2/{--instance-id}"),
    "ec2 create-store-image-task": _f("api_copy", "s3://{--bucket}", "aws:ec2/{--image-id}"),
    "ec2 create-volume": _f("api_copy", "aws:ec2/volume", "aws:ec2/{--snapshot-id}"),
    "ec2 create-replace-root-volume-task": _f("api_copy", "aws:ec2/{--instance-id}", "aws:ec2/{--snapshot-id}"),
    "ec2 modify-snapshot-attribute": _f("api_visibility", "aws:ec2/{--snapshot-id}"),
    "ec2 modify-image-attribute": _f("api_visibility", "aws:ec2/{--image-id}"),
    "ec2 modify-instance-attribute": _f("set_security", "aws:ec2/{--instance-id}"),
    "ec2 lock-snapshot": _f("set_security", "aws:ec2/{--snapshot-id}"),
    "ec2 unlock-snapshot": _f("set_security", "aws:ec2/{--snapshot-id}"),
    "ec2 attach-volume": _f("mount", "aws:ec2/{--volume-id}"),
    "ec2 terminate-instances": _f("api_delete", "aws:ec2/{--instance-ids}"),
    "ec2 cancel-spot-instance-requests": _f("api_delete", "aws:ec2/{--spot-instance-request-ids}"),
    "rds create-db-snapshot": _f(
        "api_copy", "aws:rds/{--db-snapshot-identifier}", "aws:rds/{--db-instance-identifier}"
    ),
    "rds modify-db-snapshot-attribute": _f("api_visibility", "aws:rds/{--db-snapshot-identifier}"),
    "rds start-export-task": _f("api_copy", "s3://{--s3-bucket-name}", "aws:rds/{--source-arn}"),
    "dynamodb export-table-to-point-in-time": _f("api_copy", "s3://{--s3-bucket}", "aws:dynamodb/{--table-arn}"),
    "dynamodb create-backup": _f("api_copy", "aws:dynamodb/{--backup-name}", "aws:dynamodb/{--table-name}"),
    "kms schedule-key-deletion": _f("api_delete", "aws:kms/{--key-id}"),
    "kms disable-key": _f("set_security", "aws:kms/{--key-id}"),
    "kms create-grant": _f("set_security", "aws:kms/{--key-id}"),
    "kms put-key-policy": _f("set_security", "aws:kms/{--key-id}"),
    "kms encrypt": _f("read", "aws:kms/{--key-id}", files=("--plaintext",)),
    "kms decrypt": _f("read", "aws:kms/{--key-id}", files=("--ciphertext-blob",)),
    "ssm send-command": _f("remote_exec", "aws:ec2/{--instance-ids|--targets}"),
    "ssm start-session": _f("remote_exec", "aws:ec2/{--target}"),
    "ssm put-parameter": _f("write", "aws:ssm/{--name}", files=("--value",)),
    "ecs execute-command": _f("remote_exec", "aws:ecs/{--task}"),
    "ecs run-task": _f("create", "aws:ecs/{--task-definition}"),
    "ecs update-service": _f("service", "aws:ecs/{--service}"),
    "lambda invoke": _f("remote_exec", "aws:lambda/{--function-name}", files=("--payload",), outs=("last",)),
    "lambda add-permission": _f("api_visibility", "aws:lambda/{--function-name}"),
    "sagemaker-runtime invoke-endpoint": _f(
        "read", "aws:sagemaker/{--endpoint-name}", files=("--body",), outs=("last",)
    ),
    "bedrock-runtime invoke-model": _f("read", "aws:bedrock/{--model-id}", files=("--body",), outs=("last",)),
    "bedrock-runtime converse": _f("read", "aws:bedrock/{--model-id}"),
    "bedrock create-model-copy-job": _f(
        "api_copy", "aws:bedrock/{--target-model-name}", "aws:bedrock/{--source-model-arn}"
    ),
    "polly synthesize-speech": _f("read", "aws:polly/voice", outs=("last",)),
    "ecr put-image": _f("write", "oci:{--repository-name}"),
    "ecr batch-delete-image": _f("api_delete", "oci:{--repository-name}"),
    "ecr delete-repository": _f("api_delete", "oci:{--repository-name}"),
    "ecr set-repository-policy": _f("api_visibility", "oci:{--repository-name}"),
    "ecr put-replication-configuration": _f("api_copy", "oci:*", "oci:*"),
    "cloudtrail stop-logging": _f("service", "aws:cloudtrail/{--name}"),
    "cloudtrail put-event-selectors": _f("set_security", "aws:cloudtrail/{--trail-name}"),
    "logs create-export-task": _f("api_copy", "s3://{--destination}", "aws:logs/{--log-group-name}"),
    "logs put-retention-policy": _f("set_security", "aws:logs/{--log-group-name}"),
    "events put-rule": _f("schedule", "aws:events/{--name}"),
    "events put-targets": _f("schedule", "aws:events/{--rule}"),
    "scheduler create-schedule": _f("schedule", "aws:scheduler/{--name}"),
    "scheduler update-schedule": _f("schedule", "aws:scheduler/{--name}"),
    "autoscaling put-scheduled-update-group-action": _f("schedule", "aws:autoscaling/{--auto-scaling-group-name}"),
    "backup start-backup-job": _f("api_copy", "aws:backup/{--backup-vault-name}", "aws:{--resource-arn}"),
    "backup start-copy-job": _f(
        "api_copy", "aws:backup/{--destination-backup-vault-arn}", "aws:backup/{--recovery-point-arn}"
    ),
    "backup put-backup-vault-lock-configuration": _f("set_security", "aws:backup/{--backup-vault-name}"),
    "efs create-replication-configuration": _f("api_copy", "aws:efs/replica", "aws:efs/{--source-file-system-id}"),
    "fsx create-data-repository-task": _f("api_copy", "s3:*", "aws:fsx/{--file-system-id}"),
    "datasync start-task-execution": _f("api_copy", "aws:datasync/target", "aws:datasync/{--task-arn}"),
    "glacier upload-archive": _f("write", "aws:glacier/{--vault-name}", files=("--body",)),
    "glacier get-job-output": _f("read", "aws:glacier/{--vault-name}", outs=("last",)),
    "glacier initiate-vault-lock": _f("set_security", "aws:glacier/{--vault-name}"),
    "eks update-kubeconfig": _f("read", "aws:eks/{--name}", outs=("--kubeconfig",)),
    "cloudformation deploy": _f("write", "aws:cloudformation/{--stack-name}", files=("--template-file",)),
    "cloudformation package": _f(
        "write", "s3://{--s3-bucket}", files=("--template-file",), outs=("--output-template-file",)
    ),
    "deploy push": _f("write", "{--s3-location}", files=("--source",)),
    "codeartifact publish-package-version": _f("write", "aws:codeartifact/{--package}", files=("--asset-content",)),
    "ec2-instance-connect ssh": _f("remote_exec", "aws:ec2/{--instance-id}"),
    "ec2-instance-connect send-ssh-public-key": _f("set_security", "aws:ec2/{--instance-id}"),
    "sts assume-role": _f("read", "account:{--role-arn}"),
}

_AZ: Final[Mapping[str, Fact]] = {
    "storage blob upload": _f("write", _BLOB, files=("--file", "-f", "--data")),
    "storage blob upload-batch": _f("write", "az://{--destination|-d}", files=("--source", "-s")),
    "storage blob directory upload": _f(
        "write", "az://{--container|-c}/{--destination-path|-d}", files=("--source", "-s")
    ),
    "storage blob sync": _f("write", "az://{--container|-c}", files=("--source", "-s")),
    "storage blob download": _f("read", _BLOB, outs=("--file", "-f")),
    "storage blob download-batch": _f("read", "az://{--source|-s}", outs=("--destination", "-d")),
    "storage blob directory download": _f(
        "read", "az://{--container|-c}/{--source-path|-s}", outs=("--destination-path", "-d")
    ),
    "storage blob delete": _f("api_delete", _BLOB),
    "storage blob delete-batch": _f("api_delete", "az://{--source|-s}"),
    "storage blob copy start": _f(
        "api_copy",
        "az://{--destination-container|-c}/{--destination-blob|-b}",
        "{--source-uri|-u} az://{--source-container}/{--source-blob}",
    ),
    "storage blob copy start-batch": _f("api_copy", "az://{--destination-container}", "az://{--source-container}"),
    "storage blob snapshot": _f("api_copy", "az://{--container-name|-c}/snapshot", _BLOB),
    "storage blob generate-sas": _f("api_visibility", _BLOB),
    "storage blob url": _f("read", _BLOB),
    "storage blob immutability-policy set": _f("set_security", _BLOB),
    "storage blob set-legal-hold": _f("set_security", _BLOB),
    "storage blob lease acquire": _f("set_security", "az://{--container-name|-c}/{--blob-name|-b}"),
    "storage container set-permission": _f("api_visibility", "az://{--name|-n}"),
    "storage container delete": _f("api_delete", "az://{--name|-n}"),
    "storage container legal-hold set": _f("set_security", "az://{--container-name|-c}"),
    "storage container immutability-policy create": _f("set_security", "az://{--container-name|-c}"),
    "storage file upload": _f("write", "az://{--share-name|-s}/{--path|-p}", files=("--source",)),
    "storage file upload-batch": _f("write", "az://{--destination|-d}", files=("--source", "-s")),
    "storage file download": _f("read", "az://{--share-name|-s}/{--path|-p}", outs=("--dest",)),
    "storage file download-batch": _f("read", "az://{--source|-s}", outs=("--destination", "-d")),
    "storage fs file upload": _f("write", "az://{--file-system|-f}/{--path|-p}", files=("--source", "-s")),
    "storage fs file download": _f("read", "az://{--file-system|-f}/{--path|-p}", outs=("--destination", "-d")),
    "storage fs directory upload": _f(
        "write", "az://{--file-system|-f}/{--destination-path|-d}", files=("--source", "-s")
    ),
    "storage copy": _f("write", "az:{--destination|-d}", files=("--source", "-s")),
    "storage remove": _f("api_delete", "az://{--container-name|-c}/{--name|-n}"),
    "storage account update": _f("set_security", "azure:storage/{--name|-n}"),
    "ml model create": _f("write", "azureml:models/{--name|-n}", files=("--path", "-p", "--file", "-f")),
    "ml model download": _f("read", "azureml:models/{--name|-n}", outs=("--download-path", "-p")),
    "ml model share": _f("api_copy", "azureml:{--registry-name}/{--share-with-name}", "azureml:models/{--name|-n}"),
    "ml model archive": _f("write", "azureml:models/{--name|-n}"),
    "ml data create": _f("write", "azureml:data/{--name|-n}", files=("--path", "-p", "--file", "-f")),
    "ml job create": _f("create", "azureml:jobs/{--name|-n}", files=("--file", "-f")),
    "ml job cancel": _f("service", "azureml:jobs/{--name|-n}"),
    "ml online-deployment create": _f("create", "azureml:deployments/{--name|-n}", files=("--file", "-f")),
    "snapshot create": _f("api_copy", "azure:snapshot/{--name|-n}", "azure:disk/{--source}"),
    "image create": _f("api_copy", "azure:image/{--name|-n}", "azure:vm/{--source}"),
    "disk create": _f("api_copy", "azure:disk/{--name|-n}", "azure:disk/{--source}"),
    "disk grant-access": _f("api_visibility", "azure:disk/{--name|-n}"),
    "snapshot grant-access": _f("api_visibility", "azure:snapshot/{--name|-n}"),
    "sig image-version create": _f(
        "api_copy", "azure:image/{--gallery-image-definition|-i}", "azure:image/{--managed-image|--virtual-machine}"
    ),
    "vm run-command invoke": _f("remote_exec", "azure:vm/{--name|-n}"),
    "vm run-command create": _f("remote_exec", "azure:vm/{--vm-name}"),
    "vm disk attach": _f("mount", "azure:disk/{--name|-n|--disks}"),
    "ssh vm": _f("remote_exec", "azure:vm/{--name|-n|--vm-name}"),
    "container exec": _f("remote_exec", "azure:container/{--name|-n}"),
    "lock create": _f("set_security", "azure:{--resource|--resource-name|--resource-group|-g}"),
    "lock delete": _f("set_security", "azure:{--name|-n|--ids}"),
    "role assignment create": _f("set_security", "account:{--assignee|--assignee-object-id}"),
    "role assignment delete": _f("set_security", "account:{--assignee|--ids}"),
    "acr import": _f("api_copy", "oci:{--image|-t}", "oci:{--source}"),
    "acr build": _f("write", "oci:{--image|-t}", files=("last",)),
    "acr repository delete": _f("api_delete", "oci:{--repository|--image}"),
    "aks get-credentials": _f("read", "azure:aks/{--name|-n}", outs=("--file", "-f")),
    "keyvault secret set": _f("write", "azure:keyvault/{--name|-n}", files=("--file", "-f")),
    "keyvault secret download": _f("read", "azure:keyvault/{--name|-n}", outs=("--file", "-f")),
    "keyvault key delete": _f("api_delete", "azure:keyvault/{--name|-n}"),
    "webapp deploy": _f("write", "azure:webapp/{--name|-n}", files=("--src-path",)),
    "artifacts universal publish": _f("write", "azure:artifacts/{--name|-n}", files=("--path",)),
    "artifacts universal download": _f("read", "azure:artifacts/{--name|-n}", outs=("--path",)),
    "rest": _f("write", "{--url|--uri|-u}"),
}

_GCLOUD: Final[Mapping[str, Fact]] = {
    "ai models upload": _f("api_copy", "gcloud:ai/models/{--display-name}", "{--artifact-uri}"),
    "ai models copy": _f(
        "api_copy", "gcloud:ai/models/{--destination-model-id|--destination-parent-model}", "{--source-model}"
    ),
    "ai models delete": _f("api_delete", "gcloud:ai/models/{0}"),
    "ai endpoints deploy-model": _f("service", "gcloud:ai/endpoints/{0}"),
    "ai endpoints undeploy-model": _f("service", "gcloud:ai/endpoints/{0}"),
    "compute snapshots create": _f("api_copy", "gcloud:compute/snapshots/{0}", "gcloud:compute/{--source-disk}"),
    "compute disks snapshot": _f("api_copy", "gcloud:compute/snapshots/{--snapshot-names}", "gcloud:compute/{0}"),
    "compute disks create": _f(
        "api_copy", "gcloud:compute/disks/{0}", "gcloud:compute/{--source-snapshot|--source-disk|--image}"
    ),
    "compute images create": _f(
        "api_copy",
        "gcloud:compute/images/{0}",
        "gcloud:compute/{--source-disk|--source-image|--source-snapshot|--source-uri}",
    ),
    "compute images export": _f("api_copy", "{--destination-uri}", "gcloud:compute/images/{--image}"),
    "compute images add-iam-policy-binding": _f("api_visibility", "gcloud:compute/images/{0}"),
    "compute machine-images create": _f(
        "api_copy", "gcloud:compute/machine-images/{0}", "gcloud:compute/{--source-instance}"
    ),
    "compute instances update": _f("set_security", "gcloud:compute/{0}"),
    "compute instances attach-disk": _f("mount", "gcloud:compute/{--disk}"),
    "compute instances set-disk-auto-delete": _f("set_security", "gcloud:compute/{0}"),
    "compute ssh": _f("remote_exec", "ssh://{0}"),
    "compute start-iap-tunnel": _f("remote_exec", "ssh://{0}"),
    "builds submit": _f("write", "gcloud:builds/{--tag|-t|--config}", files=("0",), missing="."),
    "run deploy": _f("create", "gcloud:run/{0}", files=("--source",)),
    "functions deploy": _f("create", "gcloud:functions/{0}", files=("--source",)),
    "app deploy": _f("create", "gcloud:app/{0}", files=("0",), missing="."),
    "scheduler jobs create": _f("schedule", "gcloud:scheduler/{1}"),
    "secrets create": _f("write", "gcloud:secrets/{0}", files=("--data-file",)),
    "secrets versions add": _f("write", "gcloud:secrets/{0}", files=("--data-file",)),
    "kms encrypt": _f("read", "gcloud:kms/{--key}", files=("--plaintext-file",), outs=("--ciphertext-file",)),
    "kms decrypt": _f("read", "gcloud:kms/{--key}", files=("--ciphertext-file",), outs=("--plaintext-file",)),
    "kms keys versions destroy": _f("api_delete", "gcloud:kms/{--key}"),
    "projects add-iam-policy-binding": _f("set_security", "account:{--member}"),
    "projects remove-iam-policy-binding": _f("set_security", "account:{--member}"),
    "projects set-iam-policy": _f("set_security", "account:{0}", files=("1",)),
    "projects delete": _f("api_delete", "gcloud:projects/{0}"),
    "logging sinks delete": _f("api_delete", "gcloud:logging/{0}"),
    "logging write": _f("write", "gcloud:logging/{0}"),
    "sql export": _f("api_copy", "{2}", "gcloud:sql/{1}"),
    "artifacts files download": _f("read", "gcloud:artifacts/{0}", outs=("--destination",)),
    "artifacts generic upload": _f("write", "gcloud:artifacts/{--package}", files=("--source", "--source-directory")),
    "artifacts docker images delete": _f("api_delete", "oci:{0}"),
    "container images delete": _f("api_delete", "oci:{0}"),
    "container images add-tag": _f("api_copy", "oci:{1}", "oci:{0}"),
    "container clusters get-credentials": _f("read", "gcloud:container/{0}"),
    "iam service-accounts keys create": _f("set_security", "account:{--iam-account}", outs=("0",)),
    "transfer jobs create": _f("api_copy", "{1}", "{0}"),
    "transfer appliances": _f("api_copy", "{1}", "{0}"),
    "feedback": _f("read", "gcloud:feedback"),
}

_OTHERS: Final[Mapping[str, Mapping[str, Fact]]] = {
    "oci": {
        "os object put": _f("write", "oci-os://{--bucket-name|-bn}/{--name}", files=("--file",)),
        "os object bulk-upload": _f("write", "oci-os://{--bucket-name|-bn}", files=("--src-dir",)),
        "os object sync": _f("write", "oci-os://{--bucket-name|-bn}", files=("--src-dir",), outs=("--dest-dir",)),
        "os object get": _f("read", "oci-os://{--bucket-name|-bn}/{--name}", outs=("--file",)),
        "os object bulk-download": _f("read", "oci-os://{--bucket-name|-bn}", outs=("--download-dir",)),
        "os object copy": _f(
            "api_copy", "oci-os://{--destination-bucket}", "oci-os://{--bucket-name|-bn}/{--source-object-name}"
        ),
        "os object delete": _f("api_delete", "oci-os://{--bucket-name|-bn}/{--name|--object-name}"),
    },
    "openstack": {
        "object create": _f("write", "swift://{0}", files=("1", "2", "3")),
        "object save": _f("read", "swift://{0}/{1}", outs=("--file",)),
        "object delete": _f("api_delete", "swift://{0}/{1}"),
        "image create": _f("write", "openstack:image/{0}", files=("--file",)),
        "image save": _f("read", "openstack:image/{0}", outs=("--file",)),
    },
    "doctl": {
        "serverless deploy": _f("create", "doctl:serverless/{0}", files=("0",)),
        "compute ssh": _f("remote_exec", "ssh://{0}"),
    },
    "b2": {
        "upload-file": _f("write", "b2://{0}", files=("1",)),
        "file upload": _f("write", "b2://{0}", files=("1",)),
        "upload-unbound-stream": _f("write", "b2://{0}", files=("1",)),
        "download-file": _f("read", "{0}", outs=("1",)),
        "download-file-by-name": _f("read", "b2://{0}/{1}", outs=("2",)),
        "file download": _f("read", "{0}", outs=("1",)),
        "sync": _f("write", "{1}", files=("0",)),
        "rm": _f("api_delete", "{0}"),
        "file server-side-copy": _f("api_copy", "{1}", "{0}"),
        "file update": _f("set_security", "{0}"),
        "bucket update": _f("set_security", "b2://{0}"),
    },
    "docker": {
        "secret create": _f("write", "docker:secret/{0}", files=("1",)),
        "config create": _f("write", "docker:config/{0}", files=("1",)),
        "context import": _f("write", "docker:context/{0}", files=("1",)),
        "context export": _f("read", "docker:context/{0}", outs=("1",)),
        "volume import": _f("write", "docker:volume/{0}", files=("1",)),
        "volume export": _f("read", "docker:volume/{0}", outs=("--output", "-o")),
        "stack deploy": _f("service", "docker:stack/{0}"),
        "service create": _f("service", "docker:service/{--name}"),
        "service update": _f("service", "docker:service/{0}"),
        "service scale": _f("service", "docker:service/{0}"),
        "service rollback": _f("service", "docker:service/{0}"),
        "checkpoint create": _f("api_copy", "docker:checkpoint/{1}", "docker:checkpoint/{0}"),
        "model push": _f("net_send", "docker:model/{0}"),
        "model pull": _f("net_recv", "docker:model/{0}"),
        "model package": _f("write", "docker:model/{0}", files=("--gguf", "--safetensors", "--safetensors-dir")),
        "model run": _f("remote_exec", "docker:model/{0}"),
        "model tag": _f("api_copy", "docker:model/{1}", "docker:model/{0}"),
        "machine ssh": _f("remote_exec", "docker:machine/{0}"),
        "manifest push": _f("net_send", "oci:{0}"),
        "system reset": _f("api_delete", "docker:system"),
        "swarm leave": _f("service", "docker:swarm"),
        "swarm join": _f("service", "docker:swarm"),
    },
    "crictl": {
        "exec": _f("remote_exec", "docker:{0}"),
        "rmi": _f("api_delete", "docker:{0}"),
        "rm": _f("api_delete", "docker:{0}"),
        "rmp": _f("api_delete", "docker:{0}"),
        "stopp": _f("service", "docker:{0}"),
        "pull": _f("net_recv", "oci:{0}"),
        "runp": _f("create", "docker:pod", files=("0",)),
        "create": _f("create", "docker:container", files=("1", "2")),
        "checkpoint": _f("api_copy", "docker:checkpoint", "docker:{0}", outs=("--export",)),
    },
    "ctr": {
        "images export": _f("read", "docker:{1}", outs=("0",)),
        "images import": _f("write", "docker:image", files=("0",)),
        "images tag": _f("api_copy", "docker:{1}", "docker:{0}"),
        "images push": _f("net_send", "oci:{0}", files=("1",)),
        "images pull": _f("net_recv", "oci:{0}"),
        "images rm": _f("api_delete", "docker:{0}"),
        "images mount": _f("mount", "docker:{0}", outs=("1",)),
        "tasks exec": _f("remote_exec", "docker:{0}"),
        "content fetch": _f("net_recv", "oci:{0}"),
        "run": _f("remote_exec", "docker:{0}"),
    },
    "regctl": {
        "image copy": _f("api_copy", "oci:{1}", "oci:{0}"),
        "image import": _f("write", "oci:{0}", files=("1",)),
        "image export": _f("read", "oci:{0}", outs=("1",)),
        "image delete": _f("api_delete", "oci:{0}"),
        "image mod": _f("write", "oci:{0}"),
        "tag rm": _f("api_delete", "oci:{0}"),
        "tag delete": _f("api_delete", "oci:{0}"),
        "manifest delete": _f("api_delete", "oci:{0}"),
        "manifest put": _f("write", "oci:{0}"),
        "blob put": _f("write", "oci:{0}"),
        "artifact put": _f("write", "oci:{0}", files=("--file", "-f")),
        "artifact get": _f("read", "oci:{0}", outs=("--output", "-o")),
    },
    "crane": {
        "copy": _f("api_copy", "oci:{1}", "oci:{0}"),
        "cp": _f("api_copy", "oci:{1}", "oci:{0}"),
        "push": _f("write", "oci:{1}", files=("0",)),
        "pull": _f("read", "oci:{0}", outs=("1",)),
        "export": _f("read", "oci:{0}", outs=("1",)),
        "append": _f("write", "oci:{--new_tag|-t}", files=("--new_layer", "-f")),
        "tag": _f("api_copy", "oci:{0}:{1}", "oci:{0}"),
        "mutate": _f("write", "oci:{0}"),
        "delete": _f("api_delete", "oci:{0}"),
        "digest": _f("read", "oci:{0}"),
        "manifest": _f("read", "oci:{0}"),
        "catalog": _f("list", "oci:{0}"),
    },
    "oras": {
        "push": _f("write", "oci:{0}", files=tuple(str(index) for index in range(1, 12))),
        "attach": _f("write", "oci:{0}", files=tuple(str(index) for index in range(1, 12))),
        "blob push": _f("write", "oci:{0}", files=("1",)),
        "manifest push": _f("write", "oci:{0}", files=("1",)),
        "pull": _f("read", "oci:{0}", outs=("--output", "-o")),
        "blob fetch": _f("read", "oci:{0}", outs=("--output", "-o")),
        "manifest fetch": _f("read", "oci:{0}", outs=("--output", "-o")),
        "copy": _f("api_copy", "oci:{1}", "oci:{0}"),
        "cp": _f("api_copy", "oci:{1}", "oci:{0}"),
        "tag": _f("api_copy", "oci:{1}", "oci:{0}"),
        "blob delete": _f("api_delete", "oci:{0}"),
        "manifest delete": _f("api_delete", "oci:{0}"),
    },
    "cosign": {
        "upload blob": _f("write", "oci:{0}", files=("-f", "--files")),
        "copy": _f("api_copy", "oci:{1}", "oci:{0}"),
        "save": _f("read", "oci:{0}", outs=("--dir",)),
        "load": _f("write", "oci:{0}", files=("--dir",)),
        "clean": _f("api_delete", "oci:{0}"),
        "sign": _f("write", "oci:{0}"),
        "attest": _f("write", "oci:{0}", files=("--predicate",)),
        "sign-blob": _f("read", "cosign:blob", outs=("--output-signature", "--output-certificate", "--bundle")),
        "verify": _f("read", "oci:{0}"),
        "triangulate": _f("read", "oci:{0}"),
        "tree": _f("read", "oci:{0}"),
    },
    "kind": {
        "load docker-image": _f("write", "k8s:node/image", files=()),
        "load image-archive": _f("write", "k8s:node/image", files=("0",)),
        "create cluster": _f("create", "k8s:cluster/{--name|-n}", files=("--config",)),
        "delete cluster": _f("api_delete", "k8s:cluster/{--name|-n}"),
        "export kubeconfig": _f("read", "k8s:cluster", outs=("--kubeconfig",)),
        "export logs": _f("read", "k8s:cluster", outs=("0",)),
        "build node-image": _f("create", "docker:node-image", files=("0",)),
    },
    "k3d": {
        "image import": _f("write", "k8s:node/image"),
        "cluster create": _f("create", "k8s:cluster/{0}", files=("--config", "-c")),
        "cluster delete": _f("api_delete", "k8s:cluster/{0}"),
    },
    "minikube": {
        "cp": _f("write", "k8s:node/{1}", files=("0",)),
        "image load": _f("write", "k8s:node/image", files=("0",)),
        "image save": _f("read", "k8s:node/image", outs=("1",)),
        "image build": _f("write", "k8s:node/image", files=("0",)),
        "mount": _f("net_send", "k8s:node/mount", files=("0",)),
        "ssh": _f("remote_exec", "k8s:node"),
        "delete": _f("api_delete", "k8s:cluster/{--profile|-p}"),
        "start": _f("service", "k8s:cluster/{--profile|-p}"),
        "stop": _f("service", "k8s:cluster/{--profile|-p}"),
        "service": _f("read", "k8s:service/{0}"),
        "dashboard": _f("read", "k8s:cluster"),
        "addons enable": _f("write", "k8s:cluster"),
        "tunnel": _f("net_recv", "k8s:cluster"),
        "kubectl": _f("remote_exec", "k8s:cluster"),
        "ip": _f("read", "k8s:cluster"),
        "docker-env": _f("read", "k8s:cluster"),
        "profile": _f("read", "k8s:cluster"),
    },
    "velero": {
        "backup create": _f("api_copy", "velero:backup/{0}", "k8s:*"),
        "create backup": _f("api_copy", "velero:backup/{0}", "k8s:*"),
        "restore create": _f("api_copy", "k8s:*", "velero:backup/{--from-backup}"),
        "create restore": _f("api_copy", "k8s:*", "velero:backup/{--from-backup}"),
        "schedule create": _f("schedule", "velero:schedule/{0}"),
        "backup download": _f("read", "velero:backup/{0}", outs=("--output", "-o")),
    },
    "argocd": {
        "app create": _f("create", "argocd:app/{0}", files=("--file", "-f", "--values")),
        "app set": _f("write", "argocd:app/{0}"),
        "app sync": _f("write", "argocd:app/{0}"),
        "app diff": _f("read", "argocd:app/{0}"),
        "app wait": _f("read", "argocd:app/{0}"),
        "context": _f("read", "argocd:context"),
    },
    "ray": {
        "job submit": _f("remote_exec", "ray:job", files=("--working-dir",)),
        "up": _f("create", "ray:cluster/{0}"),
        "down": _f("api_delete", "ray:cluster/{0}"),
        "exec": _f("remote_exec", "ray:cluster/{0}"),
        "attach": _f("remote_exec", "ray:cluster/{0}"),
        "rsync-up": _f("write", "ray:cluster", files=("1",)),
        "rsync-down": _f("read", "ray:cluster", outs=("2",)),
        "rsync_up": _f("write", "ray:cluster", files=("1",)),
        "rsync_down": _f("read", "ray:cluster", outs=("2",)),
    },
    "talosctl": {"reset": _f("api_delete", "talos:node"), "copy": _f("read", "talos:{0}", outs=("1",))},
    "lxc": {
        "exec": _f("remote_exec", "lxc:{0}"),
        "file push": _f("write", "lxc:{1}", files=("0",)),
        "file pull": _f("read", "lxc:{0}", outs=("1",)),
        "copy": _f("api_copy", "lxc:{1}", "lxc:{0}"),
        "snapshot": _f("api_copy", "lxc:{0}/{1}", "lxc:{0}"),
        "publish": _f("api_copy", "lxc:{--alias}", "lxc:{0}"),
        "export": _f("read", "lxc:{0}", outs=("1",)),
        "import": _f("write", "lxc:instance", files=("0",)),
        "image import": _f("write", "lxc:image", files=("0", "1")),
        "image export": _f("read", "lxc:{0}", outs=("1",)),
        "delete": _f("api_delete", "lxc:{0}"),
        "config device add": _f("mount", "lxc:{0}"),
        "storage volume create": _f("create", "lxc:{1}"),
        "move": _f("api_copy", "lxc:{1}", "lxc:{0}"),
    },
    "heroku": {"run": _f("remote_exec", "heroku:app"), "ps:exec": _f("remote_exec", "heroku:app")},
    "fly": {
        "deploy": _f("create", "fly:app", files=("0",), missing="."),
        "ssh console": _f("remote_exec", "fly:app"),
        "sftp shell": _f("remote_exec", "fly:app"),
    },
    "vercel": {"deploy": _f("create", "vercel:project", files=("0",), missing=".")},
    "netlify": {"deploy": _f("create", "netlify:site", files=("--dir", "-d"), missing=".")},
    "railway": {"up": _f("create", "railway:app", files=("0",), missing=".")},
    "firebase": {"deploy": _f("create", "firebase:app", files=("--public",), missing=".")},
    "wrangler": {
        "r2 object put": _f("write", "r2://{0}", files=("--file", "-f")),
        "r2 object get": _f("read", "r2://{0}", outs=("--file", "-f")),
        "r2 object delete": _f("api_delete", "r2://{0}"),
        "deploy": _f("create", "wrangler:worker", files=("0",)),
        "kv key put": _f("write", "wrangler:kv/{0}", files=("--path",)),
        "pages deploy": _f("create", "wrangler:pages", files=("0",)),
    },
    "modal": {
        "volume put": _f("write", "modal:volume/{0}", files=("1",)),
        "volume get": _f("read", "modal:volume/{0}", outs=("2",)),
        "volume rm": _f("api_delete", "modal:volume/{0}/{1}"),
        "volume delete": _f("api_delete", "modal:volume/{0}"),
        "volume cp": _f("api_copy", "modal:volume/{0}/{2}", "modal:volume/{0}/{1}"),
        "run": _f("remote_exec", "modal:app", files=("0",)),
        "deploy": _f("create", "modal:app", files=("0",)),
    },
    "runpodctl": {
        "send": _f("net_send", "runpod:transfer", files=("0",)),
        "receive": _f("read", "runpod:transfer", outs=("1",)),
        "exec": _f("remote_exec", "runpod:pod"),
    },
    "vastai": {
        "copy": _f("net_send", "vastai:{1}", files=("0",)),
        "destroy instance": _f("api_delete", "vastai:{0}"),
    },
}

FACTS: Final[Mapping[str, Mapping[str, Fact]]] = {"aws": _AWS, "az": _AZ, "gcloud": _GCLOUD, **_OTHERS, **HUBS}
"""Command -> its operations, by their words."""

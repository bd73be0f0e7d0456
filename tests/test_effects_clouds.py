"""Clouds, hubs, containers, Kubernetes and git: what files say is looked into, and daily work raises no question."""

from __future__ import annotations

import pytest

from tests.effects_support import NoFiles, address, codes, effects_of, said

HELD = {"inline", "dynamic", "unparsed"}

HONEST = """\
git clone --depth 1 https://h/r.git && cd r && git checkout -b fix && git status
git add -A && git commit -m 'fix: x' && git push -u origin fix
git config user.email a@b && git config user.name a && git commit --allow-empty -m x
git fetch --all --prune && git rebase origin/main && git push --force-with-lease
git stash && git pull --rebase && git stash pop
git log --oneline -5 && git diff --stat HEAD~1 && git show HEAD
git merge --no-ff feature && git branch -d feature && git tag -a v1 -m 'v1'
git cherry-pick abc123 && git revert --no-edit HEAD
git submodule update --init --recursive
git lfs install && git lfs pull
git remote add upstream https://h/r.git && git remote -v
git restore --staged . && git reset --soft HEAD~1
git worktree list && git reflog && git blame README.md
docker ps -a --format '{{.Names}}' && docker logs --tail 50 web
docker build -t app:dev . && docker run --rm -p 8080:80 app:dev
docker compose up -d && docker compose logs -f web && docker compose down
docker exec web python manage.py migrate
docker run --rm -v "$PWD":/app -w /app node:20 npm ci
docker pull python:3.12 && docker images && docker image prune -f
docker inspect web | jq '.[0].State'
podman run --rm alpine echo hello
kubectl get pods -A -o wide && kubectl describe deploy web -n prod
kubectl logs -f deploy/web --since=1h | grep ERROR
kubectl apply -f k8s/ && kubectl rollout status deploy/web
kubectl exec web-0 -- ls /app
kubectl config use-context staging && kubectl top pods
kubectl scale deploy web --replicas=3 && kubectl set image deploy/web web=app:2
helm list -A && helm upgrade --install web ./chart -f values.yaml --set image.tag=2
aws s3 ls s3://b --recursive && aws ec2 describe-instances --output table
aws sts get-caller-identity && aws logs tail /aws/lambda/f --since 1h
aws s3 cp s3://b/data.csv . && aws s3 cp out.csv s3://b/
aws ecr get-login-password --region eu-west-1 | docker login --username AWS --password-stdin h
gcloud config set project p && gcloud compute instances list --filter='name~web'
gcloud auth print-access-token && gcloud container clusters get-credentials c --zone z
az account show && az vm list -o table && az storage blob list -c c --account-name s
gsutil ls gs://b && gsutil cp gs://b/data.csv .
rclone lsf remote:data && rclone copy remote:data ./data
hf download org/m --local-dir ./m && hf auth whoami
mlflow runs list --experiment-id 0 && mlflow ui --port 5000
dvc pull && dvc status
wandb login && wandb sync wandb/run-1
ollama list && ollama pull llama3 && ollama run llama3 'hello there'
gh pr list --state open && gh pr view 12 --json title && gh run watch 1
gh pr create --title 'fix' --body 'see the notes' && gh pr merge 12 --squash
terraform --version; helm template web ./chart > out.yaml
""".splitlines()


@pytest.mark.parametrize("command", HONEST)
def test_daily_work_raises_no_question(command: str) -> None:
    """No code that is not looked into, and no name that could be anything."""
    effects = effects_of(command)
    assert not {e.attrs["code"] for e in effects if e.op == "exec_opaque"} & HELD, said(command)
    assert not [e for e in effects if e.op == "exec_opaque" and e.attrs.get("authored")], said(command)
    named = [e for e in effects if address(e.resource).startswith("**") and not e.attrs.get("cwd")]
    assert not [e for e in named if e.op not in ("read", "list")], said(command)


def test_a_compose_file_says_what_its_containers_get() -> None:
    """Bind mounts, short and long, and build contexts."""
    text = b"""
services:
  web:
    build: ./web
    volumes:
      - /models:/m
      - type: bind
        source: /data
        target: /d
        read_only: true
      - cache:/c
"""
    found = said("docker compose up -d", view=NoFiles({"/w/compose.yaml": text}))
    assert {
        "mount /models",
        "mention /models",
        "read /data",
        "mention /data",
        "copy /w/././web -> docker:image",
    } <= set(found)
    assert "mount /data" not in found


def test_a_dockerfile_says_what_of_its_context_goes_into_the_image() -> None:
    """COPY, ADD and bind mounts of RUN, but not what comes from another stage."""
    text = b"FROM a AS b\nCOPY --chown=1 src conf/ /x/\nADD w.bin /\nCOPY --from=b /o /o\nRUN --mount=source=m cp\n"
    found = said("docker build -t i /c", view=NoFiles({"/c/Dockerfile": text}))
    copies = {line for line in found if line.startswith("copy")}
    assert copies == {f"copy /c/{name} -> docker:i" for name in ("src", "conf/", "w.bin", "m")}


def test_a_context_of_which_nothing_is_known_may_go_into_the_image() -> None:
    """No Dockerfile, or one with a variable in a name."""
    for view in (NoFiles(), NoFiles({"/c/Dockerfile": b"FROM a\nCOPY $X /x\n"})):
        (copy,) = [e for e in effects_of("docker build /c", view=view) if e.op == "copy"]
        assert (address(copy.resource), copy.modality, copy.resource.recursive) == ("/c", "may", True)


def test_a_file_that_the_call_wrote_is_read_as_it_will_be() -> None:
    """A Modelfile, a Dockerfile and a manifest made by the same call."""
    assert "copy /models/a -> ollama:m" in said("echo 'FROM /models/a' > Modelfile; ollama create m")
    assert "copy /w/./x -> docker:i" in said("printf 'FROM a\\nCOPY x /\\n' > Dockerfile && docker build -t i .")
    command = "printf 'kind: Pod\\nmetadata: {name: p}\\nspec: {volumes: [{hostPath: {path: /models}}]}\\n' > p.yaml"
    assert "mount /models" in said(f"{command}; kubectl apply -f p.yaml")


def test_a_manifest_that_the_call_changed_in_an_unknown_way_is_a_script_of_its_own() -> None:
    """What it will say is not known."""
    found = effects_of("hostname > p.yaml; kubectl apply -f p.yaml", view=NoFiles({"/w/p.yaml": b"kind: Pod\n"}))
    assert [e.attrs.get("authored") for e in found if e.op == "exec_opaque"] == [True]


def test_every_manifest_of_a_directory_is_read() -> None:
    """YAML and JSON, several documents, and lists."""
    view = NoFiles(
        {
            "/w/k/a.yaml": b"kind: ConfigMap\nmetadata: {name: a}\n---\nkind: Secret\nmetadata: {name: s}\n",
            "/w/k/b.json": b'{"kind": "List", "items": [{"kind": "CronJob", "metadata": {"name": "j"}}]}',
        },
        dirs=("/w/k",),
    )
    found = said("kubectl apply -f k", view=view)
    assert {"write k8s:configmap/a", "set_security account:k8s/secret/s", "schedule k8s:cronjob/j"} <= set(found)


@pytest.mark.parametrize(
    ("command", "key", "after"),
    [
        ("""kubectl patch cm c -p '{"data":{"on":"false"}}'""", "data.on", "false"),
        ("""kubectl patch cm c --type merge -p 'data: {x: null}'""", "data.x", None),
        ("""kubectl patch cm c --type=json -p '[{"op":"replace","path":"/data/on","value":"no"}]'""", "data.on", "no"),
        ("kubectl scale deploy/x --replicas 0", "spec.replicas", 0),
        ("kubectl annotate deploy x a.b/c=false --overwrite", "metadata.annotations.a.b/c", "false"),
        ("kubectl label deploy x on-", "metadata.labels.on", None),
        ("kubectl set env deploy/x ON=false", "env.ON", "false"),
        ("helm upgrade r c --set a.on=false", "values.a.on", "false"),
        ("git config core.autocrlf false", "core.autocrlf", "false"),
    ],
)
def test_a_key_that_is_set_is_named_with_its_value(command: str, key: str, after: object) -> None:
    """What a patch or an option makes of an object."""
    (change,) = [e for e in effects_of(command) if e.op == "set_key"]
    assert (change.attrs["key"], change.attrs.get("after")) == (key, after)


def test_a_command_in_a_container_names_assets_but_not_what_is_above_them() -> None:
    """Paths inside count when they are those of an asset; `/` is above every one and says nothing."""
    found = effects_of("docker exec c sh -c 'cd /models && cp a /x'")
    inside = {address(e.resource): e for e in found if e.op == "mention"}
    assert inside["/models/a"].attrs["cwd"] is True
    assert "copy /models/a -> /x" not in said("docker exec c sh -c 'cd /models && cp a /x'")
    assert codes("docker exec c sh -c 'eval $X'") & HELD
    assert not codes("docker exec c sh -c 'ls /'")


def test_code_in_a_new_container_matters_only_with_something_of_the_host() -> None:
    """Without a mount it can reach nothing of it."""
    code = "python -c 'import os; os.remove(x)'"
    assert not codes(f"docker run img {code}") & HELD
    assert codes(f"docker run -v /data:/d img {code}") & HELD
    assert codes(f"docker exec c {code}") & HELD


def test_what_git_does_to_its_own_files_is_not_the_session_s_text() -> None:
    """Scripts of a clone or of a pulled branch are not ones that the session wrote."""
    for command in ("git clone https://h/r && bash r/x.sh", "git add x.sh && bash x.sh", "git pull && bash x.sh"):
        found = effects_of(command, view=NoFiles({"/w/x.sh": b"true\n"}))
        assert not [e for e in found if e.attrs.get("authored")], command


def test_a_setting_of_git_that_is_code_holds_what_follows() -> None:
    """Whatever the next command of git is, it may run that."""
    assert codes("git config core.fsmonitor /x && git status") & HELD
    assert not codes("git config core.pager less && git status") & HELD


def test_a_verb_that_is_not_listed_still_acts_on_what_the_options_name() -> None:
    """By its first part; what is not a verb at all is opaque."""
    assert "api_delete aws:newservice/x" in said("aws newservice delete-thing --thing-id x")
    assert "api_copy aws:newservice/x -> aws:newservice/create-thing-snapshot" in said(
        "aws newservice create-thing-snapshot --thing-id x"
    )
    assert "api_delete gcloud:new/things/x" in said("gcloud new things delete x --quiet")
    assert "exec_opaque code:aws" in said("aws newservice frobnicate --thing-id x")


def test_content_in_an_argument_goes_where_the_operation_sends_it() -> None:
    """A substitution makes the file part of the request."""
    assert "copy /models/a -> aws:sns/t" in said('aws sns publish --topic-arn t --message "$(base64 /models/a)"')
    assert "copy /models/a -> k8s:configmap/c" in said(
        'kubectl create configmap c --from-literal=k="$(base64 /models/a)"'
    )
    assert "copy /models/a -> /w/.git/objects" in said('git commit -m "$(base64 /models/a)"')

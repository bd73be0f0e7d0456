"""Converters with a grammar of their own: pdftk, qpdf, gs, ImageMagick, ffmpeg, sox, exiftool.

Not concerned with what the result looks like; where a word may be a file or a setting it is taken for a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from guardrail.effects.catalogue._options import Parsed
from guardrail.effects.commands._apply import apply_spec
from guardrail.effects.commands._family import Family
from guardrail.effects.commands._makes import below, configured, named_by, pattern
from guardrail.effects.domain._addresses import URL, remote
from guardrail.effects.domain._call import Call
from guardrail.effects.domain._values import NOTHING, SOMETHING, TOP, Field, Stream, merge
from guardrail.model import Resource
from guardrail.patterns import lazy

_NUMBERED = lazy(r"%(?:0?\d*)[du]")
_SETTING = lazy(r"[\d.%x+<>!^@,:-]*[\d%]?")
_IMAGE_FORMAT = lazy(r"([A-Za-z][A-Za-z0-9]+):(.*)", re.DOTALL)
_IMAGE_TOOLS: Final = frozenset("convert identify mogrify composite montage compare display animate import".split())
_IMAGE_CODE: Final = frozenset(("msl", "mvg", "svg", "msvg"))
_IMAGE_MADE: Final = frozenset("xc canvas gradient plasma pattern logo rose wizard granite null label caption".split())
_FILM_FLAGS: Final = frozenset(
    "-y -n -an -vn -sn -dn -re -hide_banner -shortest -stats -nostats -nostdin -stdin -copyts -start_at_zero -version "
    "-L -bitexact -accurate_seek -noaccurate_seek -autorotate -noautorotate -ignore_unknown -copy_unknown -benchmark "
    "-codecs -formats -encoders -decoders -filters -protocols -pix_fmts -h -help -devices -bsfs -layouts -sample_fmts "
    "-nodisp -autoexit -fs -noborder -debug_ts -vstats -qphist".split()
)
_FILM_READ: Final = frozenset("-attach -filter_script -filter_complex_script -fpre -vpre -apre -key_file".split())
_FILM_WRITE: Final = frozenset("-passlogfile -vstats_file -hls_segment_filename -dump_attachment -progress".split())
_SOUND_VALUES: Final = frozenset(
    "-t -r -b -c -e -v -C --type --rate --bits --channels --encoding --volume --compression --buffer --combine --plot "
    "--temp --input-buffer --comment --add-comment --endian".split()
)
_SOUND_EFFECTS: Final = frozenset(
    "allpass band bandpass bandreject bass bend biquad chorus channels compand contrast dcshift deemph delay dither "
    "divide downsample earwax echo echos equalizer fade fir firfit flanger gain highpass hilbert input ladspa loudness "
    "lowpass mcompand noiseprof noisered norm oops output overdrive pad phaser pitch rate remix repeat reverb reverse "
    "riaa silence sinc spectrogram speed splice stat stats stretch swap synth tempo treble tremolo trim upsample vad "
    "vol newfile restart :".split()
)
_TAG_VALUES: Final = frozenset(
    "-api -c -coordformat -charset -csvdelim -d -dateformat -ext -extension -echo -echo1 -echo2 -echo3 -echo4 "
    "-fileorder -geosync -i -ignore -lang -listitem -password -sep -separator -userparam -x -exclude -srcfile "
    "-fileNUM -plot".lower().split()
)
_TAG_CODE: Final = frozenset(
    ("-@", "-config", "-if", "-if1", "-if2", "-if3", "-if4", "-if5", "-p", "-printformat", "-stay_open")
)
_TAG_NAMES: Final = {"filename": "rename", "directory": "rename", "testname": "", "hardlink": "link", "symlink": "link"}
_TAG_TIMES: Final = frozenset(("filemodifydate", "filecreatedate", "fileaccessdate"))
_TAG_RIGHTS: Final = frozenset(("filepermissions", "fileuserid", "filegroupid"))


def _plain(field: Field) -> Field:
    """A name without `file:`; numbers in it stand for any text."""
    text = field.text[5:] if field.text.startswith("file:") and not field.text.startswith("file://") else field.text
    text = text.removeprefix("file://")
    if _NUMBERED.search(text):
        named = pattern(_NUMBERED.sub("*", text))
        return Field(text=named.text, glob=named.glob, sources=field.sources)
    return Field(text=text, glob=field.glob, many=field.many, sources=field.sources) if text != field.text else field


def _put(call: Call, field: Field, sources: Sequence[Resource]) -> bool:
    """Content goes to a file or an address; False if to standard output."""
    text = field.text
    if text in ("-", "pipe:1", "pipe:", "/dev/stdout", "fd:1"):
        return False
    place = remote(text) if URL.fullmatch(text) and not text.startswith("file:") else call.place(_plain(field))
    call.put("write", place, sources)
    return True


# -- documents


def pdftk(call: Call, _parsed: Parsed) -> Stream:
    """`pdftk INPUT… [OPERATION WORD…] [output FILE]`."""
    words = list(call.args)
    at = next((i for i, f in enumerate(words) if f.text == "output"), len(words))
    operations = ("cat", "shuffle", "burst", "rotate", "generate_fdf", "fill_form", "background", "multibackground",
                  "stamp", "multistamp", "dump_data", "dump_data_utf8", "dump_data_fields", "dump_data_annots",
                  "update_info", "update_info_utf8", "attach_files", "unpack_files", "input_pw")  # fmt: skip
    start = next((i for i, f in enumerate(words[:at]) if f.text in operations), at)
    operation = words[start].text if start < at else "cat"
    named = words[:start]
    if operation not in ("cat", "shuffle", "rotate", "burst", "input_pw") and not operation.startswith("dump"):
        named += words[start + 1 : at]
    sources: tuple[Resource, ...] = ()
    for field in named:
        name, equals, _ = field.text.partition("=")
        sources = merge(sources, call.read(field.tail(len(name) + 1) if equals and name.isalpha() else field))
    if operation == "input_pw":
        call.mention(words[start:at])
    target = words[at + 1] if at + 1 < len(words) else None
    if operation == "unpack_files":
        below(call, target or Field(text="."), sources)
        return SOMETHING
    if target is None:
        if operation != "burst":
            return Stream(sources=sources)
        target = Field(text="pg_%04d.pdf")
    return NOTHING if _put(call, target, sources) else Stream(sources=sources)


def qpdf(call: Call, parsed: Parsed) -> Stream:
    """`qpdf INPUT OUTPUT`; options that have words of their own up to `--` are not looked into."""
    if any(field.text in ("--", "--empty") for field in call.args):
        call.opaque("program", reason="options of qpdf with words of their own")
        if call.args[-1].text not in ("--", "-"):
            call.emit("write", call.place(call.args[-1]), may=True)
        return Stream(sources=call.stdin.sources)
    if parsed.has("--replace-input"):
        for field in parsed.operands:
            call.read(field)
            call.emit("write", call.place(field))
        return NOTHING
    return apply_spec(call, parsed)


def gs(call: Call, _parsed: Parsed) -> Stream:
    """`gs`: what follows `-c` is a program; files are programs too, but they are documents mostly."""
    sources: tuple[Resource, ...] = ()
    target: Field | None = None
    words = list(call.args)
    while words:
        field = words.pop(0)
        text = field.text
        if text in ("-c", "--", "-@") or text.startswith("@"):
            call.opaque("inline", reason="a PostScript program", words=(field, *words))
            for word in words:
                call.mention_text(word.text)
            break
        if text == "-o" and words:
            target = words.pop(0)
        elif text.startswith(("-o", "-sOutputFile=", "-sOUTPUTFILE=")):
            target = field.tail(2 if text.startswith("-o") else text.index("=") + 1)
        elif text.startswith("-I") and text == "-I" and words:
            call.mention((words.pop(0),))
        elif text in ("-", "-_"):
            sources = merge(sources, call.stdin.sources)
        elif text[:1] != "-":
            sources = merge(sources, call.read(field))
    if target is None:
        return Stream(sources=sources)
    if target.text.startswith(("%pipe%", "|")):
        call.opaque("inline", reason="gs gives its output to a program", words=(target,))
        call.mention_text(target.text)
        return NOTHING
    return NOTHING if _put(call, target, sources) else Stream(sources=sources)


# -- pictures


def _picture(call: Call, field: Field) -> tuple[Resource, ...]:
    """A picture that is read: FORMAT:NAME, NAME[0], or a setting, which is then a file that is not there."""
    match = _IMAGE_FORMAT.fullmatch(field.text) if not URL.fullmatch(field.text) else None
    kind = match[1].lower() if match else ""
    name = field.tail(len(kind) + 1) if match else field
    if URL.fullmatch(field.text):
        call.emit("net_recv", remote(field.text))
        return ()
    if kind in _IMAGE_CODE:
        call.opaque("inline", reason="a picture that is a script", words=(name,))
    if kind == "ephemeral":
        call.emit("delete", call.place(name, nofollow=True))
    if kind in _IMAGE_MADE and not name.text.startswith("@"):
        return ()
    bare = Field(text=name.text.lstrip("@"), sources=name.sources) if name.text.startswith("@") else name
    if bare.text.endswith("]") and "[" in bare.text and bare.glob is None:
        bare = Field(text=bare.text[: bare.text.rindex("[")])
    return call.read(bare) if bare.text else ()


def pictures(call: Call, _parsed: Parsed) -> Stream:
    """`convert IN… [-option VALUE…] OUT`, `mogrify FILE…` and their kin."""
    words = list(call.args)
    tool = call.name
    if tool in ("magick", "gm") and words and words[0].text in _IMAGE_TOOLS:
        tool = words.pop(0).text
    for index, field in enumerate(words[:-1]):
        if field.text in ("-script", "-process", "-run"):
            call.opaque("inline", reason="a script of ImageMagick", words=(words[index + 1],))
    if any(field.many for field in words):
        call.opaque("dynamic", reason="which word is the result is not known")
    files = [f for f in words if f.text[:1] not in ("-", "+", "(", ")") or f.text == "-"]
    named = [f for f in files if not _SETTING.fullmatch(f.text) or f.text == "-"]
    if tool == "mogrify":
        return _mogrified(call, words, named)
    target = named.pop() if named and tool not in ("identify", "display", "animate") else None
    sources: tuple[Resource, ...] = ()
    for field in named:
        sources = merge(sources, _picture(call, field))
    for index, field in enumerate(words[:-1]):
        if field.text == "-write":
            call.put("write", call.place(words[index + 1]), sources)
    if target is None:
        return Stream(sources=sources)
    match = _IMAGE_FORMAT.fullmatch(target.text) if not URL.fullmatch(target.text) else None
    bare = target.tail(len(match[1]) + 1) if match else target
    return NOTHING if _put(call, bare, sources) else Stream(sources=sources)


def _mogrified(call: Call, words: Sequence[Field], named: Sequence[Field]) -> Stream:
    after = {f.text: words[i + 1] for i, f in enumerate(words[:-1]) if f.text in ("-format", "-path")}
    for field in named:
        if field in after.values():
            continue
        read = call.read(field)
        if "-path" in after:
            below(call, after["-path"], read)
        else:
            call.put("write", call.place(named_by("{stem}.*", field) if "-format" in after else field), read)
    return NOTHING


# -- film and sound


def _film_input(call: Call, field: Field, form: str) -> tuple[Resource, ...]:
    text = field.text
    if form == "lavfi" or text.startswith(("subfile,", "crypto", "cache:", "async:", "data:", "tee:")):
        call.mention_text(text)
        call.mention((field,))
        return ()
    if text.startswith("concat:"):
        out: tuple[Resource, ...] = ()
        for name in text[7:].split("|"):
            out = merge(out, call.read(Field(text=name)))
        return out
    if text in ("-", "pipe:0", "pipe:"):
        return call.stdin.sources
    if URL.fullmatch(text) and not text.startswith("file:"):
        call.emit("net_recv", remote(text))
        return ()
    if form == "concat":
        read = call.read(field)
        text_of = configured(call, _plain(field))
        names = re.findall(r"^\s*file\s+'?([^'\n]+)", text_of or "", re.MULTILINE)
        for name in names:
            read = merge(read, call.read(Field(text=name)))
        return read
    return call.read(_plain(field))


def _film_option(call: Call, text: str, value: Field, sources: tuple[Resource, ...]) -> tuple[Resource, ...]:
    if text in _FILM_READ:
        return call.read(value)
    if text.partition(":")[0] in _FILM_WRITE:
        _put(call, value, sources)
    elif text.startswith(("-filter", "-vf", "-af", "-lavfi")):
        call.mention_text(value.text)
    elif "/" in value.text or call.kind(call.place(value)) is not None:
        # If the option has no value after all, this is a result.
        call.mention((value,))
    return ()


def film(call: Call, _parsed: Parsed) -> Stream:
    """`ffmpeg [option…] -i IN [option…] OUT`: an option has one value, but for those that are known to have none."""
    sources: tuple[Resource, ...] = ()
    targets: list[Field] = []
    form = ""
    words = list(call.args)
    while words:
        field = words.pop(0)
        text = field.text
        if text[:1] != "-" or text == "-" or field.many:
            targets.append(field)
            continue
        if text in _FILM_FLAGS or not words:
            continue
        value = words.pop(0)
        if text == "-i":
            sources = merge(sources, _film_input(call, value, form))
            form = ""
        elif text == "-f":
            form = value.text
        else:
            sources = merge(sources, _film_option(call, text, value, sources))
    if form == "tee":
        call.opaque("program", reason="several results in one word")
    out: tuple[Resource, ...] = ()
    for field in targets:
        if call.name == "ffplay":
            _film_input(call, field, form)
        elif not _put(call, field, sources):
            out = sources
    return Stream(sources=out)


def sound(call: Call, _parsed: Parsed) -> Stream:
    """`sox IN… OUT [effect…]`."""
    files: list[Field] = []
    words = list(call.args)
    least = 2 if call.name == "sox" else 1
    while words:
        field = words.pop(0)
        if field.text in _SOUND_EFFECTS and len(files) >= least:
            _effects(call, field, words)
            break
        if field.text in _SOUND_VALUES and words:
            words.pop(0)
        elif field.text == "--effects-file" and words:
            configured(call, words.pop(0))
        elif field.text in ("-n", "-d", "-p", "--null", "--default-device", "--sox-pipe"):
            files.append(Field(text="-" if field.text in ("-p", "--sox-pipe") else "/dev/null"))
        elif field.text[:1] != "-" or field.text == "-":
            files.append(field)
    target = files.pop() if files and call.name in ("sox", "rec") else None
    sources: tuple[Resource, ...] = ()
    for field in files:
        if field.text.startswith("|"):
            call.opaque("inline", reason="sox reads from a program", words=(field,))
            call.mention_text(field.text)
        else:
            sources = merge(sources, call.read(field))
    if target is None:
        return NOTHING
    return NOTHING if _put(call, target, sources) else Stream(sources=sources)


def _effects(call: Call, first: Field, rest: Sequence[Field]) -> None:
    """Effects that write a file of their own, or split the result."""
    words = [first, *rest]
    for index, field in enumerate(words[:-1]):
        following = words[index + 1]
        if field.text in ("noiseprof", "-o"):
            call.put("write", call.place(following), ())
        elif field.text in ("noisered", "ladspa", "fir"):
            call.mention((following,))
    if any(field.text in ("newfile", ":") for field in words):
        call.opaque("program", reason="sox makes several files")


# -- metadata


def exiftool(call: Call, _parsed: Parsed) -> Stream:
    """`exiftool [-TAG] FILE…` reads, `exiftool -TAG=VALUE FILE…` writes; some tags are the file's name and times."""
    words = list(call.args)
    files: list[Field] = []
    settings: list[tuple[str, Field]] = []
    given: set[str] = set()
    sources: tuple[Resource, ...] = ()
    while words:
        field = words.pop(0)
        text = field.text.lower()
        if text[:1] != "-" or text == "-":
            files.append(field)
        elif "=" in text or "<" in text:
            settings.append((re.split(r"[-+^]?[<=]", text[1:])[0].rpartition(":")[2].rstrip("#"), field))
        elif text in ("-tagsfromfile", "-addtagsfromfile", "-geotag") and words:
            given.add("-tagsfromfile")
            sources = merge(sources, call.read(words.pop(0)))
        elif text in ("-o", "-out") and words:
            settings.append(("-o", words.pop(0)))
        elif text in ("-w", "-textout", "-w!", "-w+", "-efile") and words:
            settings.append(("-w", words.pop(0)))
        elif text in _TAG_CODE and words:
            value = words.pop(0)
            call.opaque("inline", reason=f"{field.text} of exiftool", words=(value,))
            call.mention_text(value.text)
        elif text in _TAG_VALUES and words:
            words.pop(0)
        else:
            given.add(text)
    return _tagged(call, files, settings, given, sources)


def _tagged(
    call: Call,
    files: Sequence[Field],
    settings: Sequence[tuple[str, Field]],
    given: set[str],
    sources: tuple[Resource, ...],
) -> Stream:
    out = next((field for name, field in settings if name == "-o"), None)
    tags = [(name, field) for name, field in settings if name not in ("-o", "-w")]
    for _, field in tags:
        if "<=" in field.text:
            sources = merge(sources, call.read(field.tail(field.text.index("<=") + 2)))
    recursive = "-r" in given or "-recurse" in given
    shown: tuple[Resource, ...] = call.stdin.sources if any(f.text == "-" for f in files) else ()
    for field in files:
        read = call.read(field, reveals="some", recursive=recursive)
        shown = merge(shown, read)
        for name, form in settings:
            if name == "-w":
                call.put("write", call.place(_told_in(field, form)), read)
        if out is not None:
            call.put("write", call.place(out), merge(read, sources))
        elif tags or given & {"-tagsfromfile", "-delete_original", "-delete_original!", "-restore_original"}:
            _retagged(call, field, [name for name, _ in tags], given, sources, recursive=recursive)
    return Stream(sources=shown) if not tags else NOTHING


def _told_in(field: Field, form: Field) -> Field:
    """Where `-w FORM` writes: an ending beside the file, or a path with `%` for parts of the file's own."""
    if "%" not in form.text and "/" not in form.text:
        return named_by("{stem}*", field)
    name = re.sub(r"%[-+.\d:]*[A-Za-z]", TOP, form.text)
    return Field(text=name)


def _retagged(
    call: Call, field: Field, names: Sequence[str], given: set[str], sources: tuple[Resource, ...], *, recursive: bool
) -> None:
    place = call.place(field, recursive=recursive)
    for name in names:
        if _TAG_NAMES.get(name) == "rename":
            call.emit("rename", place, call.place(Field(text=TOP)))
        elif _TAG_NAMES.get(name) == "link":
            call.emit("link", place, call.place(Field(text=TOP)))
        elif name in _TAG_TIMES:
            call.emit("set_times", place, attrs={"explicit": True})
        elif name in _TAG_RIGHTS:
            call.emit("set_security", place)
    kept = {*_TAG_NAMES, *_TAG_TIMES, *_TAG_RIGHTS}
    if all(name in kept for name in names) and names and "-tagsfromfile" not in given:
        return
    call.put("write", place, sources)
    if not given & {"-overwrite_original", "-overwrite_original_in_place", "-delete_original"}:
        call.put("write", call.place(named_by("{}_original", field), recursive=recursive), (place,))


FAMILIES: Final[Mapping[str, Family]] = {
    "exiftool": exiftool,
    "film": film,
    "gs": gs,
    "pictures": pictures,
    "pdftk": pdftk,
    "qpdf": qpdf,
    "sound": sound,
}
"""What `code` of a spec may say, for this module."""

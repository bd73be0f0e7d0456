"""What the words of Node, Ruby, PHP, Lua, R, Julia and Elixir may be in a one-liner that only computes and prints.

INVARIANT: no word here is, or leads to, anything that touches a file, a process or the network; and no name of a
variable here is a name that one of these languages gives a meaning of its own. That is why it need not be known where a
name is declared: each word is judged where it stands.
"""

from __future__ import annotations

from typing import Final

NAMES: Final = frozenset(
    "a b d e f g h i j k l m n o r s u v w x y z _ x1 x2 y1 y2 n1 n2 aa bb xs ys zs acc arr avg bar buf cfg chunk cnt "
    "col cols config counts cur curr dat dd deps doc docs elem el els elt ent entry err errs ext fib fact foo found "
    "gap grp groups hist_ idx input_ item items_ json_ kv kvs lang latest left lhs lst mat max_ maxi mean_ mid mini "
    "msg names_ needle nums num obj objs opts ord_ out_ pair pairs_ parsed part parts person pkg pos prev pt pts qty "
    "rec record recs rem res resp result results rhs right row_ rows score scores seen sep_ size_ sorted_ src squares "
    "str_ subtotal sumsq tag tags temp tmp tok toks tot total totals txt val vals value_ vec walk whole wd wds words "
    "wrd".split()
)
"""Names of variables that mean nothing else in any of the languages."""

INNER: Final = frozenset(
    "constructor __proto__ prototype __defineGetter__ __defineSetter__ __lookupGetter__ __lookupSetter__ caller callee "
    "arguments mainModule binding dlopen require exports module prepareStackTrace getBuiltinModule".split()
)
"""Names of members that lead from a value to what made it."""

_NODE_NAMES: Final = frozenset(
    "c p q t df data items item row key keys_ name names value values_ line lines word text str list count sum ids id "
    "user users price title body_ input output out sep size rest first last start end index cb fn ok "
    "scripts dependencies version_ first_ array root dir dirs file files full base folder content contents lines_ rows "
    "header report summary stats stat depth indent failed passed matches match_ m total_ counts freq sorted grouped "
    "join basename dirname extname relative test describe it suite before after beforeEach afterEach assert expect "
    "add sub fn_ actual expected createHash randomUUID url req request response server port host rl createServer "
    "createInterface".split()
)  # fmt: skip

NODE: Final = frozenset(
    "const let var if else for of in return true false null undefined new while do break continue function typeof "
    "NaN Infinity async await try catch finally throw delete void instanceof switch case default "
    "isNaN isFinite parseInt parseFloat export".split()
)
NODE_LEADING: Final = frozenset("return typeof void delete throw in instanceof new else do case".split())
NODE_MADE: Final = frozenset("Date Map Set Array Error Number String URL URLSearchParams".split())
NODE_CALLED: Final = frozenset("String Number Boolean BigInt Array".split())
NODE_CHAINS: Final = frozenset(
    "console.log console.error console.info console.table console.warn console.dir JSON.parse JSON.stringify "
    "Math.PI Math.E Math.max Math.min Math.floor Math.ceil Math.round Math.sqrt Math.pow Math.abs Math.random "
    "Math.sign Math.trunc Math.log Math.log2 Math.log10 Math.exp Math.hypot Math.cbrt Math.sin Math.cos Math.tan "
    "Number.isInteger Number.isNaN Number.isFinite Number.parseFloat Number.parseInt Number.MAX_SAFE_INTEGER "
    "Number.MIN_SAFE_INTEGER Number.EPSILON Number.MAX_VALUE String.fromCharCode Array.from Array.isArray Array.of "
    "Object.keys Object.values Object.entries Object.fromEntries Object.assign Date.now Date.parse Date.UTC "
    "Promise.all Promise.resolve process.version process.versions process.platform process.arch process.argv "
    "process.uptime process.hrtime process.memoryUsage process.exit process.exitCode process.pid process.title "
    "process.stdout.write process.stdout.columns process.stdout.isTTY os.cpus os.totalmem os.freemem os.platform "
    "os.arch os.type os.release os.uptime os.loadavg os.hostname os.tmpdir os.homedir os.EOL "
    "os.availableParallelism path.join path.basename path.dirname path.extname path.resolve path.relative "
    "path.normalize path.sep path.parse path.isAbsolute performance.now crypto.createHash crypto.randomUUID "
    "readline.createInterface process.stdin "
    "assert.equal assert.strictEqual assert.deepEqual "
    "assert.deepStrictEqual assert.notEqual assert.notStrictEqual assert.notDeepEqual assert.ok assert.match "
    "assert.doesNotMatch assert.throws assert.doesNotThrow assert.rejects assert.fail test.skip test.todo test.only "
    "it.skip it.todo it.only describe.skip describe.only".split()
)
NODE_METHODS: Final = frozenset(
    "toISOString getTime getFullYear getMonth getDate getDay getHours getMinutes getSeconds getTimezoneOffset "
    "toLocaleString toLocaleDateString toLocaleTimeString toString toJSON valueOf keys values entries get set has "
    "map filter reduce reduceRight forEach join split slice splice push pop shift unshift concat sort reverse "
    "includes indexOf lastIndexOf startsWith endsWith trim trimStart trimEnd toUpperCase toLowerCase replace "
    "replaceAll match matchAll search test padStart padEnd find findIndex findLast some every flat flatMap fill "
    "writeHead setHeader end listen close on once catch finally "
    "use post put patch all send status sendStatus redirect type param append "
    "toFixed toPrecision charAt charCodeAt codePointAt fromCharCode localeCompare substring substr repeat at add "
    "clear delete normalize toSorted toReversed next then json text isDirectory isFile isSymbolicLink update "
    "digest toBe toEqual "
    "toStrictEqual toBeTruthy toBeFalsy toBeNull toBeDefined toBeUndefined toBeCloseTo toBeGreaterThan toBeLessThan "
    "toContain toContainEqual toHaveLength toMatch toMatchObject toThrow toHaveProperty".split()
)

_RUBY_NAMES: Final = frozenset("c q t df data item row key name value line word text str list out ok input".split())
RUBY: Final = frozenset(
    "puts print p pp printf if unless else elsif end then and or not nil true false next break do while until case "
    "when in def return begin BEGIN END gsub sub gsub! sub! chomp format sprintf Integer Float String Array Rational "
    "loop rand RUBY_VERSION RUBY_PLATFORM RUBY_ENGINE STDIN".split()
)
RUBY_LEADING: Final = frozenset("if unless elsif and or not when while until return in case then else".split())
RUBY_CHAINS: Final = frozenset(
    "JSON.parse JSON.generate JSON.pretty_generate Date.today Date.parse Date.new Time.now Time.at Math.sqrt Math.log "
    "Math.log2 Math.log10 Math.sin Math.cos Math.hypot Math::PI Math::E Hash.new Array.new Set.new Integer.sqrt "
    "STDIN.read STDIN.each_line STDIN.readlines STDIN.gets $stdin.read $stdin.each_line $stdin.readlines $stdin.gets "
    "ARGF.read ARGF.each_line ARGF.readlines ENV.key? Float::INFINITY".split()
)
RUBY_METHODS: Final = frozenset(
    "map each select reject sum count size length split join strip chomp lstrip rstrip upcase downcase capitalize "
    "swapcase gsub sub gsub! sub! tr scan match match? reverse sort sort_by uniq first last take drop take_while "
    "drop_while min max min_by max_by minmax to_i to_s to_f to_a to_h to_sym to_r keys values zip flatten compact "
    "each_with_index with_index each_with_object times upto downto step include? start_with? end_with? empty? nil? "
    "chars bytes lines each_line each_char inspect key? has_key? value? fetch group_by partition tally each_slice "
    "each_cons each_pair round abs floor ceil even? odd? zero? positive? negative? to_json strftime year month day "
    "hour wday yday ljust rjust center index rindex slice push pop shift unshift append prepend concat insert "
    "delete delete_at delete_if any? all? none? find find_index detect filter filter_map flat_map each_key each_value "
    "transform_values transform_keys invert merge dig values_at rotate transpose product combination permutation "
    "cycle sample shuffle divmod pow gcd lcm digits succ pred ord chr hex oct ranges freeze dup itself then tap "
    "squeeze squish prepend start_with delete_prefix delete_suffix between? clamp cover? step numerator".split()
)
RUBY_LIBRARIES: Final = frozenset("json date time set csv yaml bigdecimal pp securerandom digest".split())
RUBY_KEYS: Final = frozenset("headers col_sep chomp symbolize_names base".split())

PHP: Final = frozenset(
    "echo print print_r var_dump var_export json_encode json_decode strlen strtoupper strtolower ucfirst ucwords "
    "implode explode array count array_sum array_product range max min round floor ceil abs sqrt pow pi date time "
    "microtime mktime strtotime str_repeat str_replace str_pad substr strpos strrev trim ltrim rtrim sprintf printf "
    "number_format PHP_VERSION phpversion PHP_EOL PHP_OS PHP_INT_MAX php_uname true false null if else elseif foreach "
    "for as while fn return in_array array_keys array_values array_merge array_slice array_reverse array_unique "
    "array_flip array_combine array_column sort rsort ksort asort intval floatval strval is_null is_array is_string "
    "isset empty bin2hex dechex hexdec md5 sha1 crc32 base64_encode base64_decode urlencode urldecode ord chr "
    "JSON_PRETTY_PRINT JSON_UNESCAPED_SLASHES JSON_UNESCAPED_UNICODE JSON_THROW_ON_ERROR memory_get_usage "
    "TRUE FALSE NULL break continue and or xor int float string bool PHP_OS_FAMILY PHP_INT_SIZE PHP_FLOAT_EPSILON "
    "extension_loaded get_loaded_extensions ini_get sys_get_temp_dir".split()
)

_LUA_NAMES: Final = frozenset("c p q t data item row key name value line word text str list out count sum ok".split())
LUA: Final = frozenset(
    "print type tostring tonumber pairs ipairs next local for in do end if then else elseif while repeat until break "
    "and or not nil true false return function unpack select _VERSION jit assert error".split()
) - {"jit"}  # fmt: skip
LUA_CHAINS: Final = frozenset(
    "string.format string.rep string.upper string.lower string.len string.sub string.reverse string.gsub "
    "string.gmatch string.find string.match string.byte string.char table.concat table.insert table.remove "
    "table.sort table.unpack table.pack math.floor math.ceil math.max math.min math.sqrt math.pi math.huge math.abs "
    "math.random math.randomseed math.fmod math.log math.exp math.sin math.cos math.type math.tointeger os.time "
    "os.date os.clock io.write io.read".split()
)
LUA_METHODS: Final = frozenset("format rep upper lower len sub reverse gsub gmatch find match byte".split())

_R_NAMES: Final = frozenset("df2 df data dat2 model fit p1 m1 m2 res2 out item row key value line word text".split())
R: Final = frozenset(
    "cat print summary str head tail nrow ncol NROW NCOL names colnames rownames mean median sum min max sd var "
    "quantile table paste paste0 sprintf format formatC round signif floor ceiling c seq seq_len seq_along rep length "
    "sort order unique rev nchar toupper tolower t abs sqrt exp log log2 log10 cumsum cumprod diff range prod "
    "data.frame matrix list vector factor levels nlevels as.numeric as.character as.integer as.Date as.factor "
    "is.na is.null any all which which.max which.min ifelse if else for in while function return TRUE FALSE NULL NA "
    "Inf NaN pi letters LETTERS month.name merge cbind rbind colMeans rowSums rowMeans colSums cor set.seed rnorm "
    "runif sample rbinom cut strsplit substr substring gsub sub grepl toString rownames dim message invisible "
    "R.version.string Sys.time Sys.Date date sessionInfo installed.packages packageVersion suppressWarnings "
    "suppressMessages complete.cases na.omit t.test rowsum crossprod solve det diag outer_ nchar trimws "
    "stopifnot is.numeric is.character typeof numeric character integer logical unlist".split()
) - {"outer_"}  # fmt: skip
R_ODD: Final = frozenset("lm glm aggregate subset transform anova predict coef resid".split())
"""What evaluates a formula or an expression among the columns of data."""

R_APPLY: Final = frozenset("sapply lapply vapply tapply apply".split())
"""What calls a function that it is handed, also by its name as a text."""

R_PLOTS: Final = frozenset("plot hist barplot boxplot lines points abline legend pie".split())
R_CLOSED: Final = frozenset(("dev.off",))
R_KEYS: Final = frozenset(
    "sep header stringsAsFactors na.rm decreasing collapse by n digits nsmall row.names col.names main xlab ylab "
    "xlim ylim col width height res quote check.names skip nrow ncol byrow each times length.out along.with probs "
    "useNA breaks dec na.strings data from to big.mark levels labels size replace prob formula pch type lwd lty "
    "mean_ sd trim exact fixed perl nrows colClasses fill strip.white encoding fileEncoding all.x all.y".split()
) - {"mean_"}  # fmt: skip

JULIA: Final = frozenset(
    "println print VERSION sum length sqrt pi maximum minimum sort reverse prod abs round floor ceil div mod rem "
    "exp log sin cos tan rand zeros ones range collect unique string join split uppercase lowercase for in if else "
    "elseif end while true false nothing isempty push! pop! typeof Int Float64 String count first last zip "
    "enumerate repeat parse let begin function return const x".split()
) - {"parse"}  # fmt: skip

_ELIXIR_NAMES: Final = frozenset("c p q t data item row key name value line word text str list out count acc".split())
ELIXIR: Final = frozenset("fn end do for if else true false nil and or not in rem div length hd tl abs round max min "
    "is_nil inspect to_string case cond when unless elem tuple_size map_size".split())  # fmt: skip
ELIXIR_CHAINS: Final = frozenset(
    "IO.puts IO.inspect Enum.sum Enum.map Enum.filter Enum.reject Enum.reduce Enum.each Enum.count Enum.join "
    "Enum.sort Enum.sort_by Enum.uniq Enum.reverse Enum.max Enum.min Enum.take Enum.drop Enum.zip Enum.with_index "
    "Enum.group_by Enum.frequencies Enum.chunk_every Enum.to_list Enum.at Enum.member? Enum.find Enum.any? Enum.all? "
    "Enum.flat_map Enum.product Enum.random Enum.shuffle String.upcase String.downcase String.length String.split "
    "String.trim String.reverse String.replace String.duplicate String.capitalize String.contains? String.slice "
    "String.to_integer Integer.to_string Integer.parse Integer.pow Integer.digits Float.round Map.get Map.put "
    "Map.keys Map.values Map.new List.first List.last List.flatten Date.utc_today DateTime.utc_now System.version "
    "System.otp_release Range.new Kernel.inspect".split()
)

DECLARED: Final = "\0"
"""Stands for a name that the program declares, or imports from a module of the project; none is spelled so."""

NODE_GLOBALS: Final = frozenset(
    "globalThis global console process eval escape unescape structuredClone queueMicrotask fetch performance crypto "
    "navigator localStorage sessionStorage atob btoa clearImmediate setImmediate clearInterval clearTimeout "
    "setInterval setTimeout decodeURI decodeURIComponent encodeURI encodeURIComponent isFinite isNaN parseFloat "
    "parseInt undefined require module exports arguments import meta self window document postMessage onmessage "
    "assert buffer cluster constants dgram dns domain events fs http http2 https inspector net os path punycode "
    "querystring readline repl sea sqlite stream sys test timers tls tty url util v8 vm wasi zlib alert confirm prompt "
    "reportError gc".split()
)
"""Names of one word or in camel case that mean something in Node, Deno or Bun without being declared."""

NODE_NAMES: Final = NAMES | _NODE_NAMES | {DECLARED}
RUBY_NAMES: Final = (NAMES | _RUBY_NAMES) - {"p"}
LUA_NAMES: Final = NAMES | _LUA_NAMES
R_NAMES: Final = (NAMES | _R_NAMES) - {"c", "t", "q"}
JULIA_NAMES: Final = NAMES - {"e"}
ELIXIR_NAMES: Final = NAMES | _ELIXIR_NAMES

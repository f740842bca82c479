"""What the pages say, in English and Chinese."""

LANGUAGES = ("en", "zh")
WORDS: dict[str, tuple[str, str]] = {
    # -- the frame
    "skip": ("Skip to the content", "跳到正文"),
    "board": ("Ranking", "排行榜"),
    "my entries": ("Our entries", "我们的提交"),
    "instructor": ("All entries", "全部提交"),
    "accounts": ("Accounts", "账号"),
    "log out": ("Log out", "退出"),
    "log in": ("Log in", "登录"),
    "language": ("Language", "语言"),
    "theme": ("Colours", "配色"),
    "theme auto": ("as the device", "跟随设备"),
    "theme light": ("light", "浅色"),
    "theme dark": ("dark", "深色"),
    "signed in": ("Logged in as {name}", "已登录:{name}"),
    # -- the door
    "token": ("Your team's token", "团队令牌"),
    "token help": (
        "Your instructor gave it to your team. Whoever has it can hand in for you.",
        "由教师发给你们团队。持有令牌的人可以代表你们提交。",
    ),
    "wrong token": (
        "This token is nobody's; copy it whole, or ask your instructor for a new one.",
        "令牌无效;请完整复制,或向教师申请新令牌。",
    ),
    "log in first": ("Please log in with your team's token first.", "请先用团队令牌登录。"),
    # -- the ranking
    "public board": ("While the course runs", "课程进行中"),
    "private board": ("Final", "最终结果"),
    "public told": (
        "Ranked by {n} of the hidden perturbations; the other {m} decide at the end, {ends}.",
        "按 {n} 个隐藏扰动排名;其余 {m} 个在结束时决定最终名次({ends})。",
    ),
    "private told": (
        "Ranked by the {n} perturbations that were kept until the end.",
        "按保留到最后的 {n} 个扰动排名。",
    ),
    "one board": (
        "There are too few hidden perturbations for two halves, so this is one board, without intervals.",
        "隐藏扰动太少,无法分成两半,因此只有一个榜,且没有区间。",
    ),
    "rank": ("Rank", "名次"),
    "team": ("Team", "团队"),
    "score": ("Score", "得分"),
    "interval": ("95 % interval", "95% 区间"),
    "entries": ("Entries", "提交数"),
    "since": ("Since", "自"),
    "tied": ("within noise", "噪声范围内"),
    "tied told": (
        "Teams share a rank where noise could order them otherwise: the paired 95 % interval of their difference from "
        "the group's first includes 0. An entry moves its team only if it is better by more than noise.",
        "若差距可能只是噪声,团队并列:与该组第一名之差的配对 95% 区间包含 0。只有提升超过噪声,新提交才会改变名次。",
    ),
    "scale told": (
        "0 is the baseline (every effect is the mean of training), 1 a replicate of the experiment.",
        "0 为基线(每个效应取训练均值),1 为实验重复。",
    ),
    "fixed": ("for comparison", "参照"),
    "you": ("you", "你们"),
    "empty board": (
        "No team is ranked yet. The first entry that is scored will stand here.",
        "还没有团队上榜。第一个完成评分的提交会出现在这里。",
    ),
    "hand in one": ("Hand in a prediction", "提交预测"),
    "waiting": ("{n} in the queue", "队列中 {n} 个"),
    "to": ("to", "至"),
    # -- a team
    "hand in": ("Hand in", "提交"),
    "file": ("Prediction file (.vcc or .h5ad)", "预测文件(.vcc 或 .h5ad)"),
    "file help": (
        "At most {mib} MiB. If the connection breaks, it goes on where it stopped.",
        "最大 {mib} MiB。断线后会续传。",
    ),
    "left today": ("{n} of {m} left today (UTC).", "今天(UTC)还可提交 {n} / {m} 次。"),
    "upload": ("Upload", "上传"),
    "uploading": ("Uploading", "正在上传"),
    "broken": ("The connection broke; trying again…", "连接中断,正在重试……"),
    "uploaded": ("It arrived and is in the queue.", "已收到,进入队列。"),
    "no script": (
        "Uploads from this page need JavaScript; without it, run in a terminal: starter submit FILE",
        "本页上传需要 JavaScript;否则请在终端运行:starter submit FILE",
    ),
    "or terminal": ("Or from a terminal or notebook:", "或在终端、笔记本中运行:"),
    "no entries": (
        "Nothing handed in yet. A first try could be the train mean of notebook 04: it stands at 0.",
        "还没有提交。可以先试 04 号笔记本的训练均值:得分为 0。",
    ),
    "history": ("How it went", "历程"),
    "history told": (
        "Each entry's score on the public half; filled where it moved your rank.",
        "每次提交在公开一半上的得分;实心表示改变了名次。",
    ),
    "standing": ("You are at rank {rank} with {score}.", "当前第 {rank} 名,得分 {score}。"),
    "received": ("Received", "收到时间"),
    "state": ("State", "状态"),
    "state queued": ("number {n} in the queue", "队列第 {n} 位"),
    "state scoring": ("being scored", "正在评分"),
    "state scored": ("scored", "已评分"),
    "state refused": ("refused", "未接受"),
    "state withdrawn": ("withdrawn", "已撤回"),
    "chosen": ("your submission", "正式提交"),
    # -- an entry
    "entry": ("Entry {n}", "提交 {n}"),
    "why refused": ("Why it was refused, and what to do", "未被接受的原因与做法"),
    "refused told": (
        "Mend the file and hand it in again; `starter check FILE` finds the same faults.",
        "修好文件后再提交;`starter check FILE` 会找到同样的问题。",
    ),
    "why withdrawn": ("Why it was withdrawn", "撤回原因"),
    "note again": ("Note of the last try", "上次尝试的说明"),
    "metric": ("Metric", "指标"),
    "value": ("Value", "值"),
    "baseline": ("Baseline", "基线"),
    "replicate": ("Replicate", "实验重复"),
    "scaled": ("Scaled", "标度后"),
    "better high": ("higher is better", "越高越好"),
    "better low": ("lower is better", "越低越好"),
    "overall": ("Overall", "总分"),
    "public half": ("Public half", "公开一半"),
    "private half": ("Private half", "保留一半"),
    "moved": (
        "Better than your entry before by more than noise: it is your standing now.",
        "提升超过噪声:已成为当前成绩。",
    ),
    "not moved": (
        "Not better than your standing entry by more than noise, so your rank stays.",
        "提升未超过噪声,名次不变。",
    ),
    "choose": ("Make this our submission", "选为正式提交"),
    "choose told": ("The chosen entry is what is graded.", "评分以所选提交为准。"),
    "is chosen": ("This is your submission: it will be graded.", "这是你们的正式提交,将被评分。"),
    "pictures": ("Pictures", "图"),
    "picture": ("Picture {name} of entry {n}", "提交 {n} 的图:{name}"),
    "size": ("Size", "大小"),
    "hash": ("SHA-256", "SHA-256"),
    "back": ("Back", "返回"),
    # -- an instructor
    "flags": ("Flags", "标记"),
    "flags told": (
        "Seen by instructors alone; a flag asks for a look and takes nothing off.",
        "仅教师可见;标记只提示查看,不扣分。",
    ),
    "no flags": ("No entry on this page raised a flag.", "本页没有被标记的提交。"),
    "all": ("all", "全部"),
    "nothing here": ("No entry here yet.", "这里还没有提交。"),
    "requeue": ("Queue again", "重新排队"),
    "withdraw": ("Withdraw", "撤回"),
    "reason": ("Reason (the team reads it)", "原因(团队可见)"),
    "give a reason": ("Please give a reason, which the team will read.", "请填写原因,团队会看到。"),
    "role": ("Role", "角色"),
    "made": ("Token made", "令牌生成时间"),
    "rotate": ("New token", "换新令牌"),
    "rotate of": ("New token for {name}", "为 {name} 换新令牌"),
    "new token": (
        "New token of {name}, shown this once; the old one no longer works:",
        "{name} 的新令牌,只显示这一次;旧令牌已失效:",
    ),
    "no accounts": ("No team has a token yet; run: autograder tokens", "还没有团队令牌;请运行:autograder tokens"),
    "older": ("Older", "更早"),
    # -- refusals
    "sorry": ("That did not work", "没有成功"),
    "not there": ("There is no such page, or it is not yours.", "没有这个页面,或它不属于你们。"),
    "another site": (
        "The form was too old or came from another site; load the page again and repeat it.",
        "表单已过期或来自其他网站;请刷新页面后重试。",
    ),
    "too often": ("That was too often; try again in {seconds} seconds.", "操作过于频繁;请在 {seconds} 秒后再试。"),
    "request too large": ("This request is larger than any that is needed here.", "请求过大。"),
    "enough today": (
        "Your team handed in {n} entries today; the next can come from {time} on.",
        "今天已提交 {n} 次;{time} 之后可以再提交。",
    ),
    "board ended": ("The board closed at {time}; no more entries are taken.", "排行榜已于 {time} 截止,不再接受提交。"),
    "bad metadata": (
        "The upload's description (Upload-Metadata) cannot be read; send it as tus 1.0 says.",
        "无法读取上传说明(Upload-Metadata);请按 tus 1.0 发送。",
    ),
    "other tus": (
        "This address speaks tus 1.0.0; send Tus-Resumable: 1.0.0.",
        "此地址使用 tus 1.0.0;请发送 Tus-Resumable: 1.0.0。",
    ),
    "no length": ("The upload does not say how long it is; send Upload-Length.", "缺少文件长度;请发送 Upload-Length。"),
    "no offset": ("The part does not say where it belongs; send Upload-Offset.", "缺少位置;请发送 Upload-Offset。"),
    "no part": (
        "A part of a file is sent as application/offset+octet-stream.",
        "文件片段应以 application/offset+octet-stream 发送。",
    ),
    "other offset": (
        "This part does not begin where the file ends; ask how much is here, and go on from there.",
        "片段位置与已收到的不符;请查询后续传。",
    ),
    "longer than said": (
        "More came than was announced; choose the file again.",
        "收到的内容比声明的多;请重新选择文件。",
    ),
    "other file": (
        "Only .vcc and .h5ad are taken here; `starter pack` makes one of your prediction.",
        "只接受 .vcc 和 .h5ad;可用 `starter pack` 生成。",
    ),
    "file too large": (
        "The file has {mib} MiB, and {most} MiB are taken at most; `starter pack` makes it smaller.",
        "文件有 {mib} MiB,最大 {most} MiB;可用 `starter pack` 压缩。",
    ),
    "empty file": ("The file is empty; write the prediction again.", "文件是空的;请重新写出预测。"),
    "not what it says": (
        "The file's name ends in {kind}, but it holds something else; write it with `starter cells` or `starter pack`.",
        "文件名以 {kind} 结尾,但内容不是;请用 `starter cells` 或 `starter pack` 生成。",
    ),
    "upload gone": (
        "This upload was given up since it stopped for too long; begin again.",
        "上传停顿过久已取消;请重新开始。",
    ),
    "disk full": (
        "The board's disk is full; nothing was taken, so keep your file and tell your instructor.",
        "服务器磁盘已满,未接收任何内容;请保留文件并告知教师。",
    ),
    "ours": (
        "Something of ours failed, not of yours; please try again in a minute.",
        "是我们这边出了问题;请一分钟后重试。",
    ),
    "not to choose": (
        "Only an entry of yours that was scored can be your submission.",
        "只能选择你们自己已评分的提交。",
    ),
    "not now": ("The entry is in no state for that; load the page again.", "该提交目前不能这样操作;请刷新页面。"),
}


def word(language: str, key: str, **values: object) -> str:
    """Say something in a language."""
    return WORDS[key][LANGUAGES.index(language)].format(**values)

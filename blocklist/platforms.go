package blocklist

// platforms are hosts where anybody may leave a file. A list of URLs names them
// all the time (in URLhaus dumps of 2025 every fifth URL is on github.com), but
// a DNS block takes the whole platform away for one file that is gone
// tomorrow. An entry for one of these names, or for a name below one, comes
// from a URL list as Hit.ObserveOnly; a list of domains that names it means it.
//
// Where each customer has a name of his own below a public suffix (github.io,
// pages.dev, duckdns.org), the customer's name is blocked as any other and
// nothing needs to stand here.
var platforms = []string{
	// Code.
	"bitbucket.org", "codeberg.org", "gitee.com", "github.com", "githubassets.com",
	"githubusercontent.com", "gitlab.com", "launchpad.net", "sourceforge.net",
	// Packages and scripts.
	"cdn.jsdelivr.net", "cdnjs.cloudflare.com", "files.pythonhosted.org", "npmjs.org", "unpkg.com",
	// Documents and drives.
	"1drv.com", "1drv.ms", "box.com", "drive.proton.me", "dropbox.com",
	"dropboxusercontent.com", "evernote.com", "google.com", "googleusercontent.com",
	"icloud.com", "live.com", "mega.co.nz", "mega.io", "mega.nz", "notion.so",
	"office.com", "onedrive.com", "pcloud.com", "sharepoint.com", "yadi.sk",
	"yandex.ru", "zohoexternal.com", "zohopublic.com",
	// Object stores, where the bucket is in the path.
	"digitaloceanspaces.com", "firebasestorage.googleapis.com", "storage.googleapis.com",
	"storjshare.io", "wasabisys.com",
	// Chat and mail.
	"discord.com", "discordapp.com", "discordapp.net", "slack-files.com", "slack.com",
	"telegra.ph", "telegram.org", "whatsapp.net", "zdusercontent.com",
	// Pastes.
	"0x0.st", "controlc.com", "dpaste.com", "ghostbin.com", "hastebin.com", "paste.ee",
	"pastebin.com", "pastefy.app", "rentry.co", "textbin.net",
	// One-off uploads.
	"4shared.com", "4sync.com", "anonfiles.com", "bashupload.com", "catbox.moe",
	"envs.sh", "file.io", "filebin.net", "filedn.eu", "filemail.com", "gofile.io",
	"krakenfiles.com", "litter.catbox.moe", "mediafire.com", "pixeldrain.com",
	"sendspace.com", "temp.sh", "tmpfiles.org", "transfer.sh", "ufile.io", "upload.ee",
	"wetransfer.com", "workupload.com",
	// Pictures and pages.
	"cdn.glitch.global", "ibb.co", "imgur.com", "postimg.cc", "ucarecdn.com",
	"uploaddeimagens.com.br", "wixstatic.com", "wordpress.com", "wsimg.com",
	// Archives and archives of software.
	"apache.org", "archive.org", "debian.org", "packetstormsecurity.net", "textfiles.com",
	// Short links.
	"bit.ly", "cutt.ly", "goo.gl", "is.gd", "rebrand.ly", "t.co", "t.ly", "tinyurl.com",
	// What everything else needs.
	"akamaihd.net", "apple.com", "cloudflare.com", "facebook.com", "fbcdn.net",
	"googleapis.com", "gstatic.com", "microsoft.com", "mozilla.org", "office365.com",
	"windows.com", "windowsupdate.com", "youtube.com",
}

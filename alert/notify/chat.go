package notify

import (
	"strings"

	"github.com/weirdns/weir/alert"
)

// What chats show of a message, in octets; less than each takes.
const (
	maxSlack    = 30_000
	maxTeams    = 20_000
	maxTelegram = 4000
)

// slackEscapes are the three characters that mean something in Slack's markup.
var slackEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// colours of severities, for who shows any.
var colours = map[alert.Severity]string{alert.Info: "#4a7db3", alert.Warning: "#c98a00", alert.Critical: "#c0392b"}

// slack is the body of an incoming webhook. Nothing in it is followed: to preview
// a bad name's page would be to visit it.
func slack(n *alert.Notification) any {
	colour := colours[n.Alert.Severity]
	if n.Reason == alert.ReasonOver {
		colour = "#2e8b57"
	}
	return map[string]any{
		"text": slackEscapes.Replace(n.Subject), "unfurl_links": false, "unfurl_media": false,
		"attachments": []any{map[string]any{
			"color": colour, "fallback": slackEscapes.Replace(n.Subject), "text": slackEscapes.Replace(clip(n.Body, maxSlack)),
			"footer": "weir " + n.ID, "ts": n.Time.Unix(),
		}},
	}
}

// teams is an adaptive card, as workflows take it from a webhook.
func teams(n *alert.Notification) any {
	block := func(text string, more map[string]any) any {
		out := map[string]any{"type": "TextBlock", "text": text, "wrap": true}
		for k, v := range more {
			out[k] = v
		}
		return out
	}
	body := []any{block(markdownEscapes.Replace(n.Subject), map[string]any{"weight": "bolder", "size": "medium"})}
	for line := range strings.Lines(clip(n.Body, maxTeams)) {
		if line = strings.TrimSpace(line); line != "" {
			body = append(body, block(markdownEscapes.Replace(line), map[string]any{"spacing": "none"}))
		}
	}
	return map[string]any{"type": "message", "attachments": []any{map[string]any{
		"contentType": "application/vnd.microsoft.card.adaptive",
		"content": map[string]any{
			"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4", "body": body,
		},
	}}}
}

// markdownEscapes keep names from becoming links and emphasis.
var markdownEscapes = strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "`", "\\`", "<", "&lt;")

// telegram is the body of sendMessage, as plain text.
func telegram(n *alert.Notification, chat string) any {
	return map[string]any{
		"chat_id": chat, "text": clip(n.Subject+"\n\n"+n.Body, maxTelegram),
		"link_preview_options": map[string]any{"is_disabled": true},
	}
}

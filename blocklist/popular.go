package blocklist

import (
	"strings"

	"github.com/weirdns/weir/internal/dnsname"
)

// popular is sites and services that a great many people use, and what other
// sites are made of. A list of URLs names one when somebody found an open
// redirect, a cracked page or a file that a user left there; the site as a
// whole it does not mean. An entry for one of these names, or for its www, is
// only observed where it comes from a URL; a list of hosts that names it means it.
var popular = strings.Fields(`
	360.cn 4chan.org about.com accuweather.com addthis.com adobe.com airbnb.com akamai.com akamai.net akamaiedge.net
	alibaba.com alicdn.com alipay.com aliexpress.com aliyun.com allegro.pl amazon.ca amazon.co.jp amazon.co.uk amazon.com amazon.de amazon.es
	amazon.fr amazon.in amazon.it amazonaws.com americanexpress.com android.com aol.com apnews.com apple.com archive.org ard.de arxiv.org
	asana.com ask.com asus.com atlassian.com atlassian.net att.com avast.com azure.com azureedge.net azurewebsites.net baidu.com bandcamp.com bankofamerica.com
	barclays.co.uk bbc.co.uk bbc.com behance.net bestbuy.com bild.de bing.com bitdefender.com bloomberg.com blogger.com blogspot.com bmw.com
	booking.com bootstrapcdn.com box.com brave.com britannica.com bsi.bund.de bund.de businessinsider.com buzzfeed.com canva.com capitalone.com cbsnews.com
	cdc.gov change.org chase.com chatgpt.com chess.com cisco.com citi.com cloudflare.com cloudflare.net cloudfront.net cnbc.com cnn.com
	coinbase.com comcast.net commbank.com.au costco.com coursera.org craigslist.org criteo.com dailymail.co.uk dailymotion.com dbs.com
	debian.org deepl.com dell.com deloitte.com deutschebank.de deviantart.com dhl.com dhl.de digicert.com digitalocean.com discord.com disney.com
	disneyplus.com disqus.com docker.com docker.io docusign.com docusign.net doubleclick.net dropbox.com duckduckgo.com duolingo.com
	ea.com ebay.co.uk ebay.com ebay.de edgekey.net edgesuite.net edx.org elastic.co epicgames.com ericsson.com espn.com eset.com etsy.com europa.eu
	eventbrite.com evernote.com example.com expedia.com f-secure.com facebook.com facebook.net fandom.com fast.com fastly.net fbi.gov fbcdn.net fedex.com
	fedoraproject.org figma.com firefox.com flickr.com flipkart.com fontawesome.com forbes.com foxnews.com free.fr freebsd.org ft.com
	gartner.com ggpht.com giphy.com github.com github.io gitlab.com globo.com gmail.com gmx.de gmx.net gnu.org go.com godaddy.com golang.org
	goodreads.com google-analytics.com google.ca google.cn google.co.in google.co.jp google.co.uk google.com google.com.br google.de google.es google.fr google.it google.pl google.ru
	googleadservices.com googleapis.com googlesyndication.com googletagmanager.com googleusercontent.com googlevideo.com gov.uk gravatar.com grammarly.com gsk.com gstatic.com
	harvard.edu hbo.com heroku.com herokuapp.com hetzner.com hilton.com hindustantimes.com home.pl homedepot.com hotjar.com hp.com hsbc.co.uk hsbc.com
	huawei.com hubspot.com huffpost.com hulu.com ibm.com icann.org icloud.com iana.org ietf.org ikea.com imdb.com imgur.com indeed.com
	indiatimes.com ing.com instagram.com instructure.com intel.com intuit.com irs.gov isc.org jd.com jetbrains.com jquery.com jsdelivr.net
	kaspersky.com kde.org kernel.org khanacademy.org kickstarter.com kpn.com last.fm lego.com lenovo.com letsencrypt.org lencr.org lg.com line.me linkedin.com
	linux.org linuxfoundation.org live.com live.net lloydsbank.co.uk logitech.com lowes.com mail.ru mailchimp.com malwarebytes.com mastercard.com mayoclinic.org mcafee.com
	media.net medium.com mega.nz meituan.com mercadolibre.com.ar mercadolivre.com.br meta.com microsoft.com microsoftonline.com minecraft.net mit.edu
	mlb.com monzo.com mozilla.com mozilla.net mozilla.org msedge.net msftconnecttest.com msftncsi.com msn.com mysql.com myshopify.com n26.com nasa.gov nationalgeographic.com
	nature.com naver.com nba.com nbcnews.com netflix.com netgear.com newrelic.com nfl.com nflxvideo.net nginx.com nginx.org nhs.uk nih.gov nike.com nintendo.com
	nist.gov nodejs.org nokia.com nordea.com norton.com notion.so npmjs.com npr.org nsa.gov nvidia.com nytimes.com nyu.edu
	office.com office.net office365.com okta.com openai.com opendns.com openstreetmap.org opera.com oracle.com orange.fr outlook.com ovh.com ovh.net oxford.ac.uk
	ox.ac.uk pandora.com patreon.com paypal.com paypalobjects.com pbs.org pexels.com philips.com php.net pinterest.com pixabay.com playstation.com
	playstation.net postgresql.org postman.com princeton.edu proton.me protonmail.com pypi.org python.org pythonhosted.org qq.com qualcomm.com quad9.net quora.com
	rabobank.nl rackspace.com rakuten.co.jp rambler.ru redd.it reddit.com redhat.com redis.io researchgate.net reuters.com revolut.com ripe.net
	roblox.com rockstargames.com roku.com root-servers.net rubygems.org rust-lang.org safeway.com salesforce.com samsung.com santander.com sap.com sberbank.ru scribd.com
	sciencedirect.com sega.com sendgrid.net sentry.io shopify.com siemens.com signal.org sky.com skype.com slack.com slideshare.net snapchat.com softonic.com sony.com
	soundcloud.com sourceforge.net spiegel.de spotify.com springer.com squarespace.com stackexchange.com stackoverflow.com stanford.edu starbucks.com state.gov steamcommunity.com
	steampowered.com stripe.com substack.com surveymonkey.com swisscom.ch t-mobile.com t-online.de taobao.com target.com tcs.com teamviewer.com ted.com telegram.org
	telekom.de tencent.com tesla.com theguardian.com theverge.com threads.net ticketmaster.com tiktok.com tiktokcdn.com time.com tmall.com tripadvisor.com
	trello.com trendmicro.com tumblr.com twilio.com twimg.com twitch.tv twitter.com typekit.net uber.com ubi.com ubs.com ubuntu.com udemy.com un.org unesco.org
	unicef.org unity3d.com unpkg.com unsplash.com ups.com usatoday.com usda.gov userapi.com usps.com utexas.edu valvesoftware.com verizon.com vice.com
	vimeo.com visa.com visualstudio.com vk.com vmware.com vodafone.com volkswagen.de w3.org w3schools.com walmart.com washington.edu washingtonpost.com
	weather.com web.de webex.com webmd.com weebly.com weibo.com wellsfargo.com whatsapp.com whatsapp.net who.int wikimedia.org wikipedia.org
	wiktionary.org windows.com windows.net windowsupdate.com wired.com wise.com wix.com wordpress.com wordpress.org worldbank.org wp.com wsj.com x.com xbox.com
	xboxlive.com xfinity.com xiaomi.com yahoo.co.jp yahoo.com yale.edu yandex.com yandex.net yandex.ru yelp.com youtu.be youtube.com
	ytimg.com zalando.de zdf.de zendesk.com zillow.com zoho.com zoom.us zscaler.com
`)

// Popular knows registered domains that everybody knows, besides those that are
// built in. It is safe for concurrent use.
type Popular interface {
	Has(registered dnsname.Name) bool
}

// SetPopular replaces what is known to be popular; nil for nothing. Entries that
// come from URLs are only observed from now on where they are for such a domain,
// or for its www, and others no longer are. Nothing is compiled for it.
func (l *Lists) SetPopular(p Popular) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.popular = p
	l.publishLocked()
}

// site is the registered domain that an entry stands for, itself or as its www,
// where the entry comes from URLs alone; else nil.
func (f *found) site() dnsname.Name {
	if f.flags&flagURL == 0 || f.flags&flagAddr != 0 {
		return nil
	}
	name := appendName(nil, f.key)
	registered := dnsname.DefaultSuffixes().Split(name).Registered
	if len(registered) == len(name) || string(name.Label()) == "www" && len(registered) == len(name.Parent()) {
		return registered
	}
	return nil
}

// shared is what URLs say too little of: platforms with all below them, and
// popular names as they are.
type shared struct{ below, exact map[string]bool }

func newShared() *shared {
	s := &shared{below: make(map[string]bool, len(platforms)), exact: make(map[string]bool, 2*len(popular))}
	for _, p := range platforms {
		s.below[string(dnsname.MustParse(p))] = true
	}
	for _, p := range popular {
		s.exact[string(dnsname.MustParse(p))] = true
		s.exact[string(dnsname.MustParse("www."+p))] = true
	}
	return s
}

// has says whether a name is one of them.
func (s *shared) has(name dnsname.Name) bool {
	if s.exact[string(name)] {
		return true
	}
	for at := name; len(at) > 1; at = at.Parent() {
		if s.below[string(at)] {
			return true
		}
	}
	return false
}

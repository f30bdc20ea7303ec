-- The configuration of the installed host (roost.service). Every value left out is as by default; all
-- of them are in /usr/share/doc/roost/examples/host.lua. After a change: systemctl reload roost.
return {
  services = "/etc/roost/services",
  servers = {
    { host = "127.0.0.1", port = 3000 },
  },
  admin = { socket = "/run/roost/roost.sock", http = "127.0.0.1:9464" },
}

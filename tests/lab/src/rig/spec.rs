//! What a rig is made of.

use zdu_doubles::axway::Delays;

/// Installation directories, timing and secrets. The default is a quick upgrade in plain
/// directories.
#[derive(Debug, Clone)]
pub struct RigSpec {
    /// `old_install_dir`, below `/root` so that it survives a reboot.
    pub old_dir: String,
    /// `new_install_dir`.
    pub new_dir: String,
    /// How long the tools of both releases take.
    pub delays: Delays,
    /// The administrator's password: the tools refuse another.
    pub password: String,
    /// The domain passphrase: the tools refuse another.
    pub passphrase: String,
    /// The management API speaks HTTPS, with an authority of its own for each release's domain.
    pub https: bool,
}

impl Default for RigSpec {
    fn default() -> Self {
        Self {
            old_dir: "/root/Axway-7.5.3".to_owned(),
            new_dir: "/root/Axway-7.7".to_owned(),
            delays: Delays::default(),
            // Characters that shells, YAML, URLs and base64 treat in their own ways.
            password: r#"pä ss'w"o$r\d&%41/+=;`id`"#.to_owned(),
            passphrase: " -n phräse ?>>~~~ #{}".to_owned(),
            https: false,
        }
    }
}

impl RigSpec {
    /// Directories with blanks, quotes, a dollar and letters beyond ASCII.
    #[must_use]
    pub fn odd_directories() -> Self {
        Self {
            old_dir: r#"/root/old Äx "7.5.3" it's $HOME"#.to_owned(),
            new_dir: r"/root/new Äx '7.7' 100% `id` \n".to_owned(),
            ..Self::default()
        }
    }

    /// A management API that speaks HTTPS.
    #[must_use]
    pub fn with_https(self) -> Self {
        Self { https: true, ..self }
    }

    /// An apply that takes this long.
    #[must_use]
    pub fn with_apply_ms(mut self, apply_ms: u64) -> Self {
        self.delays.apply_ms = apply_ms;
        self
    }
}

//! The processes of the test, in one directory.

use std::path::{Path, PathBuf};

use crate::spawn::{Process, start};

/// The directory of the test; removed when dropped.
pub(crate) struct Workspace(PathBuf);

impl Workspace {
    pub(crate) fn create() -> Result<Workspace, String> {
        let path = std::env::temp_dir().join(format!("chronolith-real-prometheus-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Workspace(path))
    }

    pub(crate) fn start_chronolith(&self) -> Result<Process, String> {
        let binary = Path::new(env!("CARGO_BIN_EXE_chronolith"));
        let data = self.0.join("chronolith");
        let arguments = |address: &str| {
            vec!["serve".to_owned(), format!("--data-dir={}", data.display()), format!("--listen={address}")]
        };
        start(&self.0, "chronolith", binary, "/-/ready", arguments)
    }

    /// A Prometheus server that scrapes nothing and receives remote writes.
    pub(crate) fn start_prometheus(&self, binary: &Path) -> Result<Process, String> {
        let (config, data) = (self.write("server.yml", "global: {}\n")?, self.0.join("prometheus"));
        let arguments = |address: &str| {
            vec![
                format!("--config.file={}", config.display()),
                format!("--storage.tsdb.path={}", data.display()),
                format!("--web.listen-address={address}"),
                "--web.enable-remote-write-receiver".to_owned(),
            ]
        };
        start(&self.0, "prometheus", binary, "/-/ready", arguments)
    }

    pub(crate) fn start_node_exporter(&self, binary: &Path) -> Result<Process, String> {
        start(&self.0, "node_exporter", binary, "/", |address| vec![format!("--web.listen-address={address}")])
    }

    /// A Prometheus agent that scrapes a node_exporter and a Prometheus every second and writes to all `receivers`.
    pub(crate) fn start_agent(
        &self,
        binary: &Path,
        targets: &[&Process; 2],
        receivers: &[&Process],
    ) -> Result<Process, String> {
        let mut text = "global: {scrape_interval: 1s}\nscrape_configs:\n".to_owned();
        for (job, target) in ["node", "prometheus"].iter().zip(targets) {
            let address = &target.address;
            text.push_str(&format!("- {{job_name: {job}, static_configs: [{{targets: ['{address}']}}]}}\n"));
        }
        text.push_str("remote_write:\n");
        for receiver in receivers {
            let url = format!("http://{}/api/v1/write", receiver.address);
            text.push_str(&format!("- {{url: '{url}', queue_config: {{batch_send_deadline: 500ms}}}}\n"));
        }
        let (config, data) = (self.write("agent.yml", &text)?, self.0.join("agent"));
        let arguments = |address: &str| {
            vec![
                "--enable-feature=agent".to_owned(),
                format!("--config.file={}", config.display()),
                format!("--storage.agent.path={}", data.display()),
                format!("--web.listen-address={address}"),
            ]
        };
        start(&self.0, "agent", binary, "/-/ready", arguments)
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let path = self.0.join(name);
        std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // What a failed run leaves in the temporary directory harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
